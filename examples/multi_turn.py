"""Hold a conversation: the history goes along, and an answer goes back in as it came."""

from apertis import Apertis
from apertis.params import MessageParam

QUESTIONS = ["My name is Ada.", "What is my name?"]


def main() -> None:
    history: list[MessageParam] = []
    with Apertis() as client:
        for question in QUESTIONS:
            history.append({"role": "user", "content": question})
            message = client.messages.create(
                model="claude-sonnet-4.5", max_tokens=1024, messages=history
            )
            history.append({"role": "assistant", "content": message.content})
            print(f"User: {question}\nClaude: {message.text}")


if __name__ == "__main__":
    main()
