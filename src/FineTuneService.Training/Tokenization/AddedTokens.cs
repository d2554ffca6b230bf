using System.Buffers;
using System.Collections.Frozen;
using FineTuneService.Training.Tokenization.Models;
using FineTuneService.Training.Tokenization.Normalizers;

namespace FineTuneService.Training.Tokenization;

/// <summary>A token recognised in the text itself, before any model sees it.</summary>
/// <param name="SingleWord">Only where neither neighbour is a word character.</param>
/// <param name="Lstrip">Swallows white space before it.</param>
/// <param name="Rstrip">Swallows white space after it.</param>
/// <param name="Normalized">Looked for after normalization, in its own normalized spelling.</param>
/// <param name="Special">Left out by <see cref="Tokenizer.Decode"/> on request.</param>
internal sealed record AddedToken(string Content, bool SingleWord, bool Lstrip, bool Rstrip, bool Normalized, bool Special)
{
    public static AddedToken Read(JsonSection section) => new(
        section.Text("content"),
        section.Flag("single_word", false),
        section.Flag("lstrip", false),
        section.Flag("rstrip", false),
        section.Flag("normalized", !section.Flag("special", false)),
        section.Flag("special", false));

    public static AddedToken OfSpecial(string content, bool lstrip = false) => new(content, false, lstrip, false, false, true);
}

/// <summary>The tokens on top of a model's vocabulary, and where they occur in a text.</summary>
internal sealed class AddedTokens
{
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly Dictionary<int, AddedToken> _tokens = [];
    private readonly Dictionary<int, string> _spellings = [];
    private readonly HashSet<string> _special = new(StringComparer.Ordinal);
    private readonly Matcher _raw;
    private readonly Matcher _normalized;

    /// <remarks>Ids follow from the order, as in the Rust library: the model's where it knows the content, else the next free one.</remarks>
    public AddedTokens(IEnumerable<AddedToken> tokens, Vocabulary vocabulary, Normalizer? normalizer)
    {
        var next = vocabulary.Count;
        foreach (var token in tokens.Where(token => token.Content.Length > 0))
        {
            var id = vocabulary.IdOf(token.Content);
            if (id < 0 && !_ids.TryGetValue(token.Content, out id))
                id = next++;
            _ids[token.Content] = id;
            _tokens[id] = token;
            _spellings[id] = token.Normalized ? Spell(token.Content, normalizer) : token.Content;
            if (token.Special)
                _special.Add(token.Content);
        }
        _raw = new(_tokens.Where(entry => !entry.Value.Normalized).Select(entry => (_spellings[entry.Key], entry.Key, entry.Value)));
        _normalized = new(_tokens.Where(entry => entry.Value.Normalized).Select(entry => (_spellings[entry.Key], entry.Key, entry.Value)));
        BeyondVocabulary = _ids.Keys.Count(content => vocabulary.IdOf(content) < 0);
    }

    /// <summary>How many the model's vocabulary lacks.</summary>
    public int BeyondVocabulary { get; }

    public IEnumerable<string> Contents => _ids.Keys;

    public int? IdOf(string token) => _ids.TryGetValue(token, out var id) ? id : null;

    public string? TokenOf(int id) => _tokens.GetValueOrDefault(id)?.Content;

    /// <summary>As it is looked for, and as the Rust library decodes it: normalized where the token is.</summary>
    public string? SpellingOf(int id) => _spellings.GetValueOrDefault(id);

    public bool IsSpecial(string token) => _special.Contains(token);

    /// <summary>Divides a text that nothing has touched.</summary>
    public void SplitRaw(ReadOnlySpan<char> text, List<Split> splits) => _raw.Split(text, splits);

    /// <summary>Divides a normalized text.</summary>
    public void SplitNormalized(ReadOnlySpan<char> text, List<Split> splits) => _normalized.Split(text, splits);

    private static string Spell(string content, Normalizer? normalizer) =>
        normalizer?.Normalize(NormalizedString.Of(content, 0)).Chars.ToString() ?? content;

    /// <summary>Finds the leftmost, of these the longest, without overlaps.</summary>
    private sealed class Matcher
    {
        private readonly SearchValues<char> _firstUnits;
        private readonly FrozenDictionary<char, (string Content, int Id, AddedToken Token)[]> _byFirstUnit;

        public Matcher(IEnumerable<(string Content, int Id, AddedToken Token)> tokens)
        {
            _byFirstUnit = tokens
                .Where(entry => entry.Content.Length > 0)
                .GroupBy(entry => entry.Content[0])
                .ToFrozenDictionary(group => group.Key, group => group.OrderByDescending(entry => entry.Content.Length).ToArray());
            _firstUnits = SearchValues.Create([.. _byFirstUnit.Keys]);
        }

        public void Split(ReadOnlySpan<char> text, List<Split> splits)
        {
            splits.Clear();
            var covered = 0;
            for (var at = 0; at < text.Length;)
            {
                var skip = text[at..].IndexOfAny(_firstUnits);
                if (skip < 0)
                    break;
                at += skip;
                var found = Longest(text, at);
                if (found.Token is not { } token)
                {
                    at++;
                    continue;
                }
                var (start, end) = (at, at + found.Content.Length);
                at = end;
                if (token.SingleWord && (EndsWithWord(text[..start]) || StartsWithWord(text[end..])))
                    continue;
                if (token.Lstrip)
                {
                    while (start > covered && UnicodeClasses.IsWhiteSpace(text[start - 1]))
                        start--;
                }
                while (token.Rstrip && end < text.Length && UnicodeClasses.IsWhiteSpace(text[end]))
                    end++;
                if (covered < start)
                    splits.Add(new Split(covered, start));
                splits.Add(new Split(start, end, found.Id));
                covered = Math.Max(covered, end);
            }
            if (covered < text.Length)
                splits.Add(new Split(covered, text.Length));
        }

        private (string Content, int Id, AddedToken? Token) Longest(ReadOnlySpan<char> text, int at)
        {
            foreach (var entry in _byFirstUnit[text[at]])
            {
                if (text[at..].StartsWith(entry.Content, StringComparison.Ordinal))
                    return entry;
            }
            return default;
        }

        private static bool EndsWithWord(ReadOnlySpan<char> text) =>
            text.Length > 0 && UnicodeClasses.IsWord(UnicodeClasses.ScalarAt(text, text.Length - (char.IsLowSurrogate(text[^1]) ? 2 : 1)));

        private static bool StartsWithWord(ReadOnlySpan<char> text) => text.Length > 0 && UnicodeClasses.IsWord(UnicodeClasses.ScalarAt(text, 0));
    }
}
