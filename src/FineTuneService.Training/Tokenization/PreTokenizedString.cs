namespace FineTuneService.Training.Tokenization;

/// <summary>A part of the text: open (a model will tokenize it), or taken by an added token.</summary>
internal readonly record struct Split(int Start, int End, int? AddedId = null);

/// <summary>What becomes of the delimiters that a pattern finds.</summary>
internal enum SplitDelimiterBehavior
{
    Removed,
    Isolated,
    MergedWithPrevious,
    MergedWithNext,
    Contiguous,
}

/// <summary>Adds the non-empty matches in <paramref name="text"/>, in order.</summary>
internal delegate void MatchFinder(ReadOnlySpan<char> text, List<(int Start, int End)> matches);

/// <summary>One buffer of text and its parts in order; what lies between parts was removed.</summary>
internal sealed class PreTokenizedString
{
    public NormalizedString Text { get; private set; } = new(0);

    public List<Split> Splits { get; private set; } = [];

    /// <summary>Appends a part of <paramref name="source"/>; nothing happens when it is empty.</summary>
    public void Add(NormalizedString source, int start, int end, int? addedId)
    {
        if (start == end)
            return;
        if (Text.Length == 0 && start == 0 && end == source.Length)
            Text = source;
        else
            Text.AddRange(source, start, end);
        Splits.Add(new Split(Text.Length - (end - start), Text.Length, addedId));
    }

    /// <summary>Divides every open part.</summary>
    public void SplitBy(MatchFinder find, SplitDelimiterBehavior behavior, bool invert = false)
    {
        List<Split> splits = new(Splits.Count * 2);
        List<(int Start, int End)> matches = [];
        List<(int Start, int End, bool IsMatch)> pieces = [];
        foreach (var split in Splits)
        {
            if (split.AddedId is not null)
            {
                splits.Add(split);
                continue;
            }
            matches.Clear();
            pieces.Clear();
            find(Text.Chars[split.Start..split.End], matches);
            var covered = split.Start;
            foreach (var (start, end) in matches)
            {
                if (split.Start + start > covered)
                    pieces.Add((covered, split.Start + start, invert));
                pieces.Add((split.Start + start, covered = split.Start + end, !invert));
            }
            if (covered < split.End)
                pieces.Add((covered, split.End, invert));
            Join(pieces, behavior, splits);
        }
        Splits = splits;
    }

    /// <summary>Divides every open part where single scalars are delimiters.</summary>
    public void SplitBy(Func<int, bool> isDelimiter, SplitDelimiterBehavior behavior) =>
        SplitBy(
            (text, matches) =>
            {
                for (int i = 0, width; i < text.Length; i += width)
                {
                    var scalar = UnicodeClasses.ScalarAt(text, i);
                    width = UnicodeClasses.Width(scalar);
                    if (isDelimiter(scalar))
                        matches.Add((i, i + width));
                }
            },
            behavior);

    /// <summary>Replaces the parts; each must lie in <see cref="Text"/> and they must be in order.</summary>
    public void ReplaceSplits(List<Split> splits) => Splits = splits;

    /// <summary>Writes every open part anew: <paramref name="write"/> gets the old text, the part and the new text to append to.</summary>
    public void Rewrite(Action<NormalizedString, Split, NormalizedString> write)
    {
        var text = new NormalizedString(Text.Length + Text.Length / 8);
        for (var i = 0; i < Splits.Count; i++)
        {
            var start = text.Length;
            if (Splits[i].AddedId is not null)
                text.AddRange(Text, Splits[i].Start, Splits[i].End);
            else
                write(Text, Splits[i], text);
            Splits[i] = Splits[i] with { Start = start, End = text.Length };
        }
        Text = text;
    }

    private static void Join(List<(int Start, int End, bool IsMatch)> pieces, SplitDelimiterBehavior behavior, List<Split> splits)
    {
        for (var i = 0; i < pieces.Count; i++)
        {
            var (start, end, isMatch) = pieces[i];
            if (behavior == SplitDelimiterBehavior.Removed && isMatch)
                continue;
            var joins = i > 0 && behavior switch
            {
                SplitDelimiterBehavior.Contiguous => isMatch == pieces[i - 1].IsMatch,
                SplitDelimiterBehavior.MergedWithPrevious => isMatch && !pieces[i - 1].IsMatch,
                SplitDelimiterBehavior.MergedWithNext => !isMatch && pieces[i - 1].IsMatch,
                _ => false,
            };
            if (joins)
                splits[^1] = splits[^1] with { End = end };
            else
                splits.Add(new Split(start, end));
        }
    }
}
