"""Makes tokens.json: token ids of difficult prompts, by transformers' CLIPTokenizerFast with the bundled model's vocabulary.

Run: python tests/golden/tokens.py
Needs transformers; last run with transformers 4.57.6. The ids are those between begin and end, not cut off.
"""

import json
import pathlib

from transformers import CLIPTokenizerFast

HERE = pathlib.Path(__file__).parent
TOKENIZER = HERE.parent.parent / "models" / "shapes" / "tokenizer"

PROMPTS = [
    "",
    " ",
    "a red circle on a blue background",
    "A RED Circle",
    "  many   blanks\t\ttabs\n\nand\r\nlines  ",
    "no-break\u00a0space, thin\u2009space, ideographic\u3000space",
    "zero\u200bwidth\u200djoiner\ufeffmark",
    "it's they're I've you'd we'll I'm can't 'tis rock'n'roll",
    "IT'S THEY'RE",
    "typographic it\u2019s \u201cquoted\u201d \u2018single\u2019 \u2013 \u2014 \u2026",
    "1234567890 3.14159 1,000,000 4k 8K 16:9 2x4",
    "\u0661\u0662\u0663 \u2167 \u00bd x\u00b2",
    "(masterpiece:1.2), [[ugly]], {best|quality} <lora:name:0.8>",
    "!!!???...,,,;;;:::---___",
    "!",
    "a!b?c.d,e;f:g-h_i",
    "caf\u00e9 na\u00efve \u00fcber Stra\u00dfe \u00c5ngstr\u00f6m",
    "cafe\u0301 decomposed A\u030angstrom",
    "\u0130stanbul d\u0131\u015f \u1e9e \u03a3\u03a3 \u03a3\u0391\u03a3",
    "\ufb01ne \ufb02ow o\ufb03ce \uff26\uff55\uff4c\uff4c \uff11\uff12",
    "\u732b \u72ac\u3068\u732b \uc548\ub155\ud558\uc138\uc694",
    "\u041a\u0440\u0430\u0441\u043d\u044b\u0439 \u043a\u0440\u0443\u0433 \u043d\u0430 \u0421\u0418\u041d\u0415\u041c",
    "\u0623\u062d\u0645\u0631 \u05d0\u05d3\u05d5\u05dd \u0e2a\u0e35\u0e41\u0e14\u0e07 \u0932\u093e\u0932",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea \u2764\ufe0f \U0001f44d\U0001f3fd",
    "&amp; &lt;b&gt; &#39;x&#39; &nbsp;",
    "<b>bold</b> <!-- comment -->",
    "https://example.org/a?b=c&d=%20#e user@example.org",
    "back\\slash \"quotes\" `ticks` ~tilde^ |pipe|",
    "\u20ac100 \u00a35 \u00a510 $3 \u00a9 \u00ae \u2122 \u00b0C \u00b5m",
    "\u2200x\u2208\u211d: \u221ax \u2265 0 \u2260 \u221e",
    "\u00c3\u00a9 mojibake \u00e2\u20ac\u2122",
    "control\u0001chars\u0007here\u007f",
    "soft\u00adhyphen left\u200fright",
    "a" * 200,
    "supercalifragilisticexpialidocious antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "word " * 90,
    "xX_DarkLord_Xx camelCaseWord snake_case_word kebab-case-word",
    "portrait, by Greg Rutkowski and Alphonse Mucha, artstation, 8k, octane render, f/1.8, ISO 100",
    "</w> a</w> ##ing \u0120word \u2581word",
    "\u0300 \u0301alone \u1100\u1161\u11a8",
    "'s 'S ' s''s",
    "\U00020000 \U0010ffff \ue000",
]


def main():
    tokenizer = CLIPTokenizerFast.from_pretrained(TOKENIZER)
    rows = [json.dumps({"text": text, "ids": tokenizer(text, add_special_tokens=False).input_ids}) for text in PROMPTS]
    (HERE / "tokens.json").write_text("[\n" + ",\n".join(rows) + "\n]\n")


if __name__ == "__main__":
    main()
