using System.Text.RegularExpressions;

namespace FineTuneService.Training.Tokenization.PreTokenizers;

/// <summary>Divides at single characters: white space, punctuation, digits, a delimiter.</summary>
internal sealed class ScalarSplit(Func<int, bool> isDelimiter, SplitDelimiterBehavior behavior) : PreTokenizer
{
    public override void PreTokenize(PreTokenizedString text) => text.SplitBy(isDelimiter, behavior);
}

/// <summary>Divides at the matches of a pattern, or, inverted, at what lies between them.</summary>
internal sealed class PatternSplit(TokenizerRegex pattern, SplitDelimiterBehavior behavior, bool invert) : PreTokenizer
{
    public override void PreTokenize(PreTokenizedString text) => text.SplitBy(pattern.Find, behavior, invert);
}

/// <summary>Words, and runs of what is neither word nor white space: <c>\w+|[^\w\s]+</c>.</summary>
internal sealed class Whitespace : PreTokenizer
{
    public override void PreTokenize(PreTokenizedString text)
    {
        text.SplitBy(UnicodeClasses.IsWhiteSpace, SplitDelimiterBehavior.Removed);
        text.SplitBy(UnicodeClasses.IsWord, SplitDelimiterBehavior.Contiguous);
    }
}

/// <summary>Parts of <paramref name="length"/> characters; the last may be shorter.</summary>
internal sealed class FixedLength(int length) : PreTokenizer
{
    private readonly TokenizerRegex _pattern = TokenizerRegex.Of(new Regex($@"[\s\S]{{1,{length}}}"));

    public override void PreTokenize(PreTokenizedString text) => text.SplitBy(_pattern.Find, SplitDelimiterBehavior.Isolated);
}

/// <summary>White space removed, every punctuation mark a word of its own.</summary>
internal sealed class BertPreTokenizer : PreTokenizer
{
    public override void PreTokenize(PreTokenizedString text)
    {
        List<Split> splits = new(text.Text.Length / 4);
        foreach (var split in text.Splits)
        {
            if (split.AddedId is not null)
            {
                splits.Add(split);
                continue;
            }
            var chars = text.Text.Chars;
            var word = split.Start;
            for (int i = split.Start, width; i < split.End; i += width)
            {
                var scalar = UnicodeClasses.ScalarAt(chars, i);
                width = UnicodeClasses.Width(scalar);
                var isPunctuation = UnicodeClasses.IsPunctuation(scalar);
                if (!isPunctuation && !UnicodeClasses.IsWhiteSpace(scalar))
                    continue;
                if (i > word)
                    splits.Add(new Split(word, i));
                if (isPunctuation)
                    splits.Add(new Split(i, i + width));
                word = i + width;
            }
            if (split.End > word)
                splits.Add(new Split(word, split.End));
        }
        text.ReplaceSplits(splits);
    }
}
