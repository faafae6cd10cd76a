"""What every benchmark needs: environments, processes, statistics, reports."""
