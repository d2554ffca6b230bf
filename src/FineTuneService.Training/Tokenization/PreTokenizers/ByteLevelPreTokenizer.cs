using System.Text.RegularExpressions;

namespace FineTuneService.Training.Tokenization.PreTokenizers;

/// <summary>GPT-2's words, every byte of their UTF-8 written as a printable character.</summary>
internal sealed partial class ByteLevelPreTokenizer(bool addPrefixSpace, bool useRegex) : PreTokenizer
{
    private static readonly TokenizerRegex Words = TokenizerRegex.Of(Gpt2());

    public override void PreTokenize(PreTokenizedString text)
    {
        if (addPrefixSpace)
            text.Rewrite(AddPrefixSpace);
        if (useRegex)
            text.SplitBy(Words.Find, SplitDelimiterBehavior.Isolated);
        text.Rewrite(static (source, split, target) => ByteLevelAlphabet.Encode(source, split.Start, split.End, target));
    }

    private static void AddPrefixSpace(NormalizedString source, Split split, NormalizedString target)
    {
        if (source.Chars[split.Start] != ' ')
            target.Add(' ', source.Origins[split.Start]);
        target.AddRange(source, split.Start, split.End);
    }

    // openai/gpt-2, encoder.py.
    [GeneratedRegex(@"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", RegexOptions.CultureInvariant)]
    private static partial Regex Gpt2();
}
