"""List the models that your key may use, and look at one of them."""

from apertis import Apertis


def main() -> None:
    with Apertis() as client:
        for model in client.models.list():
            print(f"{model.id}: {model.display_name}")
        haiku = client.models.retrieve("claude-haiku-5-5")
    print(f"{haiku.id} was created at {haiku.created_at}")


if __name__ == "__main__":
    main()
