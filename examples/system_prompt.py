"""Give the model a role with a system prompt."""

from apertis import Apertis


def main() -> None:
    with Apertis() as client:
        message = client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            system="You review Python code. Answer with one short remark.",
            messages=[{"role": "user", "content": "def add(a, b=[]): b.append(a); return b"}],
        )
    print(message.text)


if __name__ == "__main__":
    main()
