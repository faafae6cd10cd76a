"""See what calls cost, and keep them within a budget."""

from apertis import Apertis, BudgetExceededError
from apertis.params import MessageParam

QUESTION: list[MessageParam] = [{"role": "user", "content": "What is a ledger?"}]


def main() -> None:
    with Apertis(budget_usd="0.01") as client:
        message = client.messages.create(
            model="claude-sonnet-5-5", max_tokens=100, messages=QUESTION
        )
        print(f"one call: ${message.cost}")
        print(f"all calls: ${client.spent}; ${client.spent.left} is left")
        try:
            client.messages.create(model="claude-opus-5-5", max_tokens=5000, messages=QUESTION)
        except BudgetExceededError as error:
            print(f"not sent, as it may cost up to ${error.most_usd}")


if __name__ == "__main__":
    main()
