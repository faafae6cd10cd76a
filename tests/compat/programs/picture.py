"""A picture from a path, and from an open file."""

import tempfile
from pathlib import Path

import anthropic

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de"
    "0000000c49444154789c63f8cfc0000003010100c9fe92ef0000000049454e44ae426082"
)
client = anthropic.Anthropic()
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "dot.png"
    path.write_bytes(PNG)
    with path.open("rb") as opened:
        for data in (path, opened):
            message = client.messages.create(
                model="claude-sonnet-5-5",
                max_tokens=32,
                messages=[
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "image",
                                "source": {
                                    "type": "base64",
                                    "media_type": "image/png",
                                    "data": data,
                                },
                            },
                            {"type": "text", "text": "What is this?"},
                        ],
                    }
                ],
            )
            print(message.content[0].text)
