"""Hold a conversation: send the history along, responses included."""

from apertis import Apertis
from apertis.params import MessageParam

QUESTIONS = ["My name is Ada.", "What is my name?"]


def ask(client: Apertis, history: list[MessageParam], question: str) -> str:
    history.append({"role": "user", "content": question})
    message = client.messages.create(model="claude-sonnet-5-5", max_tokens=1024, messages=history)
    history.append({"role": "assistant", "content": message.content})
    return message.text


def main() -> None:
    history: list[MessageParam] = []
    with Apertis() as client:
        for question in QUESTIONS:
            print(f"User: {question}")
            print(f"Claude: {ask(client, history, question)}")


if __name__ == "__main__":
    main()
