#!/usr/bin/env python3
"""Writes lines.jsonl: texts on which tokenizers disagree when they are wrong. One JSON string a line, the same each time.

    python3 tests/data/make_lines.py > tests/data/lines.jsonl
"""

import json
import random

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "She said: \"I can't believe it's not butter!\" — and they'd've agreed, wouldn't you?",
    "Don't, DON'T, don’t; I'M you'RE we'Ve he'LL they'D 'tis 'S 'ſ rock'n'roll o'clock.",
    "Der Käufer ließ die größte Tür für Ölfässer offen; Straße, STRASSE, ẞ.",
    "Où est passé l'été à Noël ? Çà et là, un cœur naïf, «déjà vu».",
    "¿Dónde está el niño? ¡Mañana será otro día, señor!",
    "Não há pão na praça; a avó comeu maçã.",
    "Zażółć gęślą jaźń. Příliš žluťoučký kůň úpěl ďábelské ódy.",
    "Árvíztűrő tükörfúrógép. İstanbul'da ışıl ışıl bir gece, IĞDIR.",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Жебракують філософи при ґанку церкви в Гадячі, ще й шатро їхнє п'яне знаємо.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. Ὅμηρος, ᾄδω.",
    "عندما يريد العالم أن يتكلّم، فهو يتحدّث بلغة يونيكود. ١٢٣٤٥",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה. שָׁלוֹם",
    "मैं काँच खा सकता हूँ और मुझे उससे कोई चोट नहीं पहुंचती। १२३",
    "আমি কাঁচ খেতে পারি, তাতে আমার কোনো ক্ষতি হয় না। ৪৫৬",
    "நான் கண்ணாடி சாப்பிடுவேன், அதனால் எனக்கு ஒரு கேடும் வராது.",
    "నేను గాజు తినగలను మరియు అలా చేసినా నాకు ఏమి ఇబ్బంది లేదు",
    "ฉันกินกระจกได้ แต่มันไม่ทำให้ฉันเจ็บ ๑๒๓",
    "ကျွန်တော် ကျွန်မ မှန်စားနိုင်တယ်။ ၁၂၃",
    "ខ្ញុំអាចញុំកញ្ចក់បាន ដោយគ្មានបញ្ហារ",
    "ຂອ້ຍກິນແກ້ວໄດ້ໂດຍທີ່ມັນບໍ່ໄດ້ເຮັດໃຫ້ຂອ້ຍເຈັບ.",
    "ཤེལ་སྒོ་ཟ་ནས་ང་ན་གི་མ་རེད།",
    "მინას ვჭამ და არა მტკივა. ᲐᲑᲒ",
    "Կրնամ ապակի ուտել և ինծի անհանգիստ չըներ։",
    "መስታወትን መብላት እችላለሁ ያ እኔን አይጎዳኝም።",
    "我能吞下玻璃而不伤身体。二〇二四年，共计１２３個。",
    "私はガラスを食べられます。それは私を傷つけません。ｶﾀｶﾅ、がぎぐ",
    "나는 유리를 먹을 수 있어요. 그래도 아프지 않아요. ㄱㄴㄷ",
    "Tôi có thể ăn thủy tinh mà không hại gì. Nguyễn Thị Thảo",
    "𝕋𝕙𝕖 𝓺𝓾𝓲𝓬𝓴 𝔟𝔯𝔬𝔴𝔫 ｆｏｘ ﬁ ﬂ ﬃ ① ② Ⅷ ½ ² ℃ №",
    "I💖emoji 👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇩🇪🇫🇷 ❤️ ☺︎ 🧑🏿‍🚀 #️⃣ 😀😀😀",
    "e\u0301 n\u0303 o\u0308 A\u030a\u0323 vs é ñ ö Ạ̊, Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
    "math: ∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β = ¬(¬α ∨ β), ∑ᵢ₌₁ⁿ xᵢ² ≤ ∞",
    "prices: $1,234.56 €99 £5 ¥1000 ₹20 ₿0.1; 50% off, #1, @home, a/b\\c, x_y-z",
    "https://example.com/path/to?q=1&r=two%20words#frag user.name+tag@mail.example.org",
    "▁ the lower block ▁▁ in text ▁a Ġ Ċ ĠĠ and Ã© mojibake",
    "ᚠᛇᚻ᛫ᛒᛦᚦ ⠓⠑⠇⠇⠕ 𓀀𓁐 𐌰𐌱 ꙮ ﷽ ‮right to left‬ zero\u200bwidth\u200djoin\u2060er\ufeff",
]

CODE = [
    "def f(x: int = 0, *args, **kwargs) -> list[str]:\n    return [f\"{i:>4}\" for i in range(x) if i % 2 == 0]\n",
    "#include <stdio.h>\nint main(void) {\n\tprintf(\"Hello, %s!\\n\", \"world\");\n\treturn 0;\n}\n",
    "fn main() { let v: Vec<_> = (0..10).map(|x| x * x).collect(); println!(\"{v:?}\"); }",
    "SELECT a.id, COUNT(*) AS n FROM t1 a LEFT JOIN t2 b ON a.id=b.id WHERE a.x<>'it''s' GROUP BY 1;",
    "{\"key\": [1, 2.5e-10, null, true], \"nested\": {\"a\": \"\\u00e9\"}}",
    "<div class=\"a b\" id='c'>\r\n  <p>&nbsp;text &amp; more</p>\r\n</div>\r\n",
    "for (let i=0;i<n;++i){ if(a[i]!==b?.c??0){ x ||= y&&z; } } // comment\n/* block */",
    "$ ls -la | grep -E '^d' > /dev/null 2>&1 && echo \"$HOME\" || exit 1",
    "    indented\n        twice\n\tby tab\n  \t mixed \t\n",
    "| a | b |\n|---|:-:|\n| `x` | **y** |\n\n- [ ] todo\n1. one\n> quote\n",
    "0x1F 0b1010 0o17 1e9 1_000_000 3.14159265358979 -42 +7 1/2 10^6 v1.2.3-rc.4+build.5",
    "\\frac{\\partial f}{\\partial x} = \\sum_{i=1}^{n} \\alpha_i x_i^2 \\quad \\text{where } x \\in \\mathbb{R}^n",
    "AaBbCc camelCaseIdentifier PascalCase snake_case SCREAMING_SNAKE kebab-case x86_64 UTF8 iPhone15Pro",
]

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<file_sep>", "<jupyter_code>", "<empty_output>",
    "<bos>", "<eos>", "<pad>", "<unk>", "<mask>", "<s>", "</s>", "<start_of_turn>", "<end_of_turn>", "<unused0>",
    "<unused6241>", "[multimodal]", "<start_of_image>", "<h1>", "</table>", "<strong>", "<0x0A>", "<0xFF>", "[PAD7]",
    "<|begin_of_text|>", "<|eot_id|>",
]

SPACES = [" ", "\t", "\n", "\r\n", "\r", "\v", "\f", "\u00a0", "\u2003", "\u3000", "\u2028", "\u0085", "\u202f", "\u200b"]

RANGES = [
    (0x20, 0x7E), (0xA0, 0xFF), (0x100, 0x24F), (0x370, 0x3FF), (0x400, 0x52F), (0x590, 0x5FF), (0x600, 0x6FF),
    (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x20CF),
    (0x2100, 0x21FF), (0x2200, 0x22FF), (0x2460, 0x25FF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3),
    (0xE000, 0xE0FF), (0xFB00, 0xFDFF), (0xFE00, 0xFFFD), (0x10300, 0x1034F), (0x1D400, 0x1D7FF), (0x1F300, 0x1FAFF),
    (0x20000, 0x2A6DF), (0xE0100, 0xE01EF), (0x10FF00, 0x10FFFF),
]


def lines():
    chance = random.Random(20240229)
    yield ""
    yield from SENTENCES
    yield from CODE
    # every control character and every byte of Latin-1: alone, between letters, between marks
    for code in [*range(0x20), *range(0x7F, 0xA1), 0xAD]:
        yield chr(code)
        yield f"a{chr(code)}b !{chr(code)}! {chr(code)} 1{chr(code)}2"
    # runs
    for space in SPACES:
        for count in (1, 2, 3, 4, 7, 8, 16, 31, 32, 33, 70):
            yield space * count
            yield f"a{space * count}b{space * count}"
    for run in ("a", "A", "1", "0", "7", "é", "字", "🙂", "-", "=", "_", ".", "!", "'", "(", "<", "#", "/", "▁", "\u0301"):
        for count in (1, 2, 3, 5, 9, 20, 64, 257):
            yield run * count
    # numbers
    for length in range(1, 60, 2):
        number = "".join(chance.choice("0123456789") for _ in range(length))
        yield number
        yield f"x{number} {number}.{number[:3]},{number[-3:]} -{number}"
    # the text of special tokens
    for text in SPECIAL:
        yield text
        yield f" {text} "
        yield f"before{text}after\n{text}{text}  {text}"
        yield f"{text[:-1]} {text[1:]} {text.upper()} <{text}>"
    for _ in range(40):
        yield "".join(chance.choice([*SPECIAL, " ", "\n", "word", " word", "  ", "\n\n", "é"]) for _ in range(8))
    # mixtures of spaces
    for _ in range(60):
        yield "".join(chance.choice([*SPACES, "a", "B", "7", "!", "é"]) for _ in range(chance.randint(3, 24)))
    # words that may or may not start with a space
    words = " ".join(SENTENCES[:5]).split()
    for _ in range(60):
        yield "".join(chance.choice(["", " ", " ", "  ", "\n", "\t"]) + chance.choice(words) for _ in range(10))
    # cuts out of sentences and code
    for text in SENTENCES + CODE:
        for _ in range(3):
            start = chance.randrange(len(text))
            yield text[start : start + chance.randint(1, 30)]
        yield text.upper()
        yield text.lower()
        yield f"  {text}\n\n{text}"
    # characters of one block, and of all blocks
    for first, last in RANGES:
        for _ in range(4):
            yield "".join(chr(chance.randint(first, last)) for _ in range(12))
    for _ in range(120):
        characters = (chr(chance.randint(*chance.choice(RANGES))) for _ in range(chance.randint(1, 40)))
        yield "".join(characters)


def main():
    for line in dict.fromkeys(lines()):
        print(json.dumps(line))


main()
