"""Ask about an image in a file: it is read, encoded and labeled with its type."""

from pathlib import Path

from apertis import Apertis, image

PICTURE = Path(__file__).with_name("stripes.png")


def main() -> None:
    with Apertis() as client:
        message = client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            messages=[
                {
                    "role": "user",
                    "content": [
                        image(PICTURE),
                        {"type": "text", "text": "How many stripes do you see?"},
                    ],
                }
            ],
        )
    print(message.text)


if __name__ == "__main__":
    main()
