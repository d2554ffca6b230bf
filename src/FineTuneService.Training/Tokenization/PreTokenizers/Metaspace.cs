namespace FineTuneService.Training.Tokenization.PreTokenizers;

/// <summary>sentencepiece's words: spaces become ▁, one is put in front, and every word begins with its own.</summary>
internal sealed class Metaspace : PreTokenizer
{
    private readonly char _replacement;
    private readonly PrependScheme _prepend;
    private readonly bool _split;
    private readonly MatchFinder _find;

    private Metaspace(char replacement, PrependScheme prepend, bool split)
    {
        (_replacement, _prepend, _split) = (replacement, prepend, split);
        _find = (text, matches) =>
        {
            for (var i = 0; i < text.Length; i++)
            {
                if (text[i] == _replacement)
                    matches.Add((i, i + 1));
            }
        };
    }

    internal enum PrependScheme
    {
        Always,

        /// <summary>Only where the original text begins.</summary>
        First,
        Never,
    }

    public static new Metaspace Read(JsonSection section) =>
        new(Replacement(section), Scheme(section), section.Flag("split", true));

    public static char Replacement(JsonSection section) => section.Scalar("replacement") is [var unit]
        ? unit
        : throw section.Get("replacement").Fault("This character is outside the basic plane.", "Use ▁.");

    /// <summary>Old files say <c>add_prefix_space</c> in place of <c>prepend_scheme</c>.</summary>
    public static PrependScheme Scheme(JsonSection section)
    {
        if (!section.Flag("add_prefix_space", true))
            return PrependScheme.Never;
        return section.Find("prepend_scheme") is not { } scheme ? PrependScheme.Always : scheme.Text() switch
        {
            "always" => PrependScheme.Always,
            "first" => PrependScheme.First,
            "never" => PrependScheme.Never,
            _ => throw scheme.Fault("This scheme is not known.", "Known are always, first and never."),
        };
    }

    public override void PreTokenize(PreTokenizedString text)
    {
        text.Rewrite(Write);
        if (_split)
            text.SplitBy(_find, SplitDelimiterBehavior.MergedWithNext);
    }

    private void Write(NormalizedString source, Split split, NormalizedString target)
    {
        var first = source.Origins[split.Start];
        var prepends = _prepend == PrependScheme.Always || _prepend == PrependScheme.First && first.Start == 0;
        if (prepends && source.Chars[split.Start] != ' ' && source.Chars[split.Start] != _replacement)
            target.Add(_replacement, first);
        var start = target.Length;
        target.AddRange(source, split.Start, split.End);
        target.Replace(start, ' ', _replacement);
    }
}
