"""Get structured output: a value of a type, also while it arrives."""

from dataclasses import dataclass

from apertis import Apertis, OutputError


@dataclass
class Film:
    """A film, as the model is to name it."""

    title: str
    year: int
    genres: list[str]


def main() -> None:
    with Apertis() as client:
        message = client.messages.parse(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            output_format=Film,
            repair=1,
            messages=[{"role": "user", "content": "Which film? “Metropolis”, 1927: a drama."}],
        )
        film = message.parsed_output
        if film is not None:
            print(f"{film.title} ({film.year}), {', '.join(film.genres)}")

        with client.messages.stream(
            model="claude-sonnet-5-5",
            max_tokens=1024,
            output_format=list[Film],
            messages=[{"role": "user", "content": "Two films by Fritz Lang."}],
        ) as stream:
            most = max(len(films or []) for films in stream.partial_outputs())
            films = stream.get_final_message().parsed_output or []
        print(f"{most} of {len(films)} came while it streamed")

        try:
            client.messages.parse(
                model="claude-sonnet-5-5",
                max_tokens=5,
                output_format=Film,
                messages=[{"role": "user", "content": "Which film? “Metropolis”, 1927: a drama."}],
            )
        except OutputError as error:
            print(f"{type(error).__name__} at {error.path}, {error.usage.output_tokens} tokens")


if __name__ == "__main__":
    main()
