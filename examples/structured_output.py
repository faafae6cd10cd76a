"""Get structured output: JSON that follows a schema."""

import json

from apertis import Apertis

SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "year": {"type": "integer"},
        "genres": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "year", "genres"],
    "additionalProperties": False,
}


def main() -> None:
    with Apertis() as client:
        message = client.messages.create(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
            messages=[{"role": "user", "content": "Which film? “Metropolis”, 1927: a drama."}],
        )
    film = json.loads(message.text)
    print(f"{film['title']} ({film['year']}), {', '.join(film['genres'])}")


if __name__ == "__main__":
    main()
