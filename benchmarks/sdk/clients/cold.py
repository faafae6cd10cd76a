"""A fresh process: imports one client class, calls once if told where, says what it holds.

    cold.py MODULE CLIENT [BASE_URL]

It imports nothing else: the modules and the memory are those of the SDK and of a bare Python.
The time is taken outside, from the start of the process to its end.
"""

import sys


def resident_bytes() -> int:
    """The memory that is resident now; the peak, where the system does not tell."""
    try:
        with open("/proc/self/status") as status:  # noqa: PTH123
            resident = next(line for line in status if line.startswith("VmRSS:"))
    except FileNotFoundError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return int(resident.split()[1]) * 1024


module, client_class, *base_url = sys.argv[1:]
# `from module import client_class`: a package that loads its names lazily has to load this one.
client = getattr(__import__(module), client_class)
if base_url:
    client(api_key="sk-test", base_url=base_url[0]).messages.create(
        model="claude-sonnet-4-6",
        max_tokens=1024,
        messages=[{"role": "user", "content": "Why do the tides turn?"}],
    )
modules = len(sys.modules)
print(f'{{"modules": {modules}, "resident": {resident_bytes()}}}')
