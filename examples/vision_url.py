"""Ask about an image on the web: the service fetches it, this program does not."""

from apertis import Apertis, image


def main() -> None:
    with Apertis() as client:
        message = client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            messages=[
                {
                    "role": "user",
                    "content": [
                        image("https://www.python.org/static/img/python-logo.png"),
                        {"type": "text", "text": "Which colors does this logo have?"},
                    ],
                }
            ],
        )
    print(message.text)


if __name__ == "__main__":
    main()
