"""Send several requests as one batch, wait for it, and read its results."""

from apertis import Apertis

QUESTIONS = {"sum": "What is 2 + 2?", "capital": "What is the capital of Peru?"}


def main() -> None:
    with Apertis() as client:
        batch = client.messages.batches.create(
            requests=[
                {
                    "custom_id": name,
                    "params": {
                        "model": "claude-haiku-5-5",
                        "max_tokens": 256,
                        "messages": [{"role": "user", "content": question}],
                    },
                }
                for name, question in QUESTIONS.items()
            ]
        )
        print(f"{batch.id} is {batch.processing_status}")
        batch = client.messages.batches.wait(batch.id, poll_interval=1.0)
        print(f"{batch.request_counts.succeeded} of {len(QUESTIONS)} succeeded")
        for entry in client.messages.batches.results(batch.id):
            if entry.result.type == "succeeded":
                print(f"{entry.custom_id}: {entry.result.message.text}")


if __name__ == "__main__":
    main()
