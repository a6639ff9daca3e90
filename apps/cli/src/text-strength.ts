/**
 * How many bits a guesser must search to find a text: the lower of two estimates, in bits.
 *
 * zxcvbn (Wheeler, USENIX Security 2016) knows dictionaries, keyboards, dates and repetition, but counts the order of the words of a
 * sentence as if it were random. So a text that reads as words is also counted word by word.
 */
export async function estimateTextBits(text: string): Promise<number> {
  const guessBits = await loadDictionaries();
  const whole = guessBits(text);
  const tokens = text.match(/\p{Lu}?\p{Ll}+|\p{Lu}+|[^\p{Lu}\p{Ll}]+/gu) ?? [];
  return readsAsWords(tokens) ? Math.min(whole, wordBits(tokens, guessBits)) : whole;
}

/** What words tell of the next letter leaves it 2.62 bits (Shannon, "Prediction and entropy of printed English", 1951). */
const BITS_PER_LETTER = 2.62;
/** A word or separator that came before costs the choice of which one: little, for the few there are. */
const BITS_OF_REPETITION = 2;
const SHORTEST_WORD = 3;
/** Share of letters in words from which a text is taken for words. Base64 of random bytes stays near a quarter. */
const WORD_SHARE = 0.75;

type GuessBits = (text: string) => number;

function wordBits(tokens: readonly string[], guessBits: GuessBits): number {
  const seen = new Set<string>();
  let bits = 0;
  for (const token of tokens) {
    const word = token.toLowerCase();
    if (seen.has(word)) bits += isWord(token) ? BITS_OF_REPETITION : 0;
    else bits += Math.min(guessBits(token), isWord(token) ? BITS_PER_LETTER * token.length : Number.POSITIVE_INFINITY);
    seen.add(word);
  }
  return bits;
}

function readsAsWords(tokens: readonly string[]): boolean {
  let inWords = 0;
  let all = 0;
  for (const token of tokens) {
    const letters = token.replaceAll(/\s/gu, "").length;
    all += letters;
    if (isWord(token)) inWords += letters;
  }
  return inWords >= all * WORD_SHARE;
}

function isWord(token: string): boolean {
  return token.length >= SHORTEST_WORD && /^\p{L}+$/u.test(token);
}

/** The dictionaries take 0.15 s to load: only a text key pays for them. */
async function loadDictionaries(): Promise<GuessBits> {
  const [{ ZxcvbnFactory }, common, english] = await Promise.all([
    import("@zxcvbn-ts/core"),
    import("@zxcvbn-ts/language-common"),
    import("@zxcvbn-ts/language-en"),
  ]);
  const zxcvbn = new ZxcvbnFactory({
    dictionary: { ...common.dictionary, ...english.dictionary },
    graphs: common.adjacencyGraphs,
  });
  return (text) => zxcvbn.check(text).guessesLog10 * Math.log2(10);
}
