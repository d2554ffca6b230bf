using System.Text.Json;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tokenization.Models;

/// <summary>Byte-pair encoding: neighbours merge, the earliest learnt merge first, the leftmost on ties (Sennrich et al., 2016, arXiv:1508.07909).</summary>
/// <remarks><c>dropout</c> in a file is an augmentation of its own training; reading is deterministic here.</remarks>
internal sealed class BytePairEncoding : TokenizerModel
{
    private readonly Dictionary<(int Left, int Right), Merge> _merges = [];
    private readonly Options _options;
    private readonly int _unknown;
    private readonly int[]? _byteIds;

    private BytePairEncoding(Vocabulary vocabulary, Options options)
        : base(vocabulary)
    {
        _options = options;
        _unknown = options.Unknown is null ? -1 : vocabulary.IdOf(options.Unknown);
        _byteIds = options.ByteFallback ? ByteIds(vocabulary) : null;
    }

    internal sealed record Options
    {
        public string? Unknown { get; init; }
        public string Prefix { get; init; } = "";
        public string Suffix { get; init; } = "";

        /// <summary>Unknown neighbours are one token.</summary>
        public bool FuseUnknown { get; init; }

        /// <summary>An unknown character is written as its bytes.</summary>
        public bool ByteFallback { get; init; }

        /// <summary>A word that is a token is that token, even if no merges lead to it.</summary>
        public bool IgnoreMerges { get; init; }
    }

    private readonly record struct Merge(int Rank, int Id);

    private record struct Symbol(int Id, int Start, int End, int Previous, int Next);

    public static new BytePairEncoding Read(JsonSection section)
    {
        var options = new Options
        {
            Unknown = section.Find("unk_token")?.Text(),
            Prefix = section.Find("continuing_subword_prefix")?.Text() ?? "",
            Suffix = section.Find("end_of_word_suffix")?.Text() ?? "",
            FuseUnknown = section.Flag("fuse_unk", false),
            ByteFallback = section.Flag("byte_fallback", false),
            IgnoreMerges = section.Flag("ignore_merges", false),
        };
        var model = new BytePairEncoding(Vocabulary.Read(section.Get("vocab")), options);
        if (options.Unknown is { } unknown)
            RequiredId(section, model.Vocabulary, "unk_token", unknown);
        foreach (var merge in section.Get("merges").Items())
        {
            // Older files write "a b", newer ones ["a", "b"].
            var parts = merge.Element.ValueKind == JsonValueKind.String ? merge.Text().Split(' ') : [.. merge.Items().Select(part => part.Text())];
            if (model.AddMerge(parts) is { } problem)
                throw merge.Fault(problem, "The file is damaged: download it again.");
        }
        return model;
    }

    /// <summary>Reads <c>vocab.json</c> and <c>merges.txt</c>.</summary>
    public static BytePairEncoding Load(string vocabFile, string mergesFile, Options options)
    {
        var model = new BytePairEncoding(Vocabulary.Read(JsonSection.Load(vocabFile)), options);
        var line = 0;
        foreach (var merge in File.ReadLines(mergesFile))
        {
            line++;
            // Merges may begin with '#' too; only the first line can be the version.
            if ((line == 1 && merge.StartsWith("#version", StringComparison.Ordinal)) || merge.Length == 0)
                continue;
            if (model.AddMerge(merge.Split(' ')) is { } problem)
                throw new FaultException($"{mergesFile}:{line}", merge, problem, "The file is damaged: download it again.");
        }
        return model;
    }

    protected override void TokenizeAnew(ReadOnlySpan<char> word, int start, List<Token> tokens)
    {
        if (_options.IgnoreMerges && Vocabulary.IdOf(word) is var whole and >= 0)
        {
            tokens.Add(new Token(whole, start, start + word.Length));
            return;
        }
        var symbols = Symbols(word);
        MergeAll(symbols);
        for (var i = symbols.Length == 0 ? -1 : 0; i >= 0; i = symbols[i].Next)
            tokens.Add(new Token(symbols[i].Id, start + symbols[i].Start, start + symbols[i].End));
    }

    /// <summary>What is wrong with the merge, or null.</summary>
    private string? AddMerge(string[] parts)
    {
        if (parts.Length != 2)
            return "A merge has two parts.";
        var (left, right) = (Vocabulary.IdOf(parts[0]), Vocabulary.IdOf(parts[1]));
        if (left < 0 || right < 0)
            return $"This merge names '{(left < 0 ? parts[0] : parts[1])}', which is not in the vocabulary.";
        var whole = parts[0] + (parts[1].StartsWith(_options.Prefix, StringComparison.Ordinal) ? parts[1][_options.Prefix.Length..] : parts[1]);
        if (Vocabulary.IdOf(whole) is not (>= 0 and var id))
            return $"This merge makes '{whole}', which is not in the vocabulary.";
        _merges[(left, right)] = new Merge(_merges.Count, id);
        return null;
    }

    private Symbol[] Symbols(ReadOnlySpan<char> word)
    {
        List<Symbol> symbols = new(word.Length);
        Symbol? unknown = null;
        for (int at = 0, end; at < word.Length; at = end)
        {
            end = at + (char.IsHighSurrogate(word[at]) ? 2 : 1);
            var id = InitialId(word, at, end);
            if (id >= 0)
            {
                if (unknown is { } pending)
                    symbols.Add(pending);
                unknown = null;
                symbols.Add(new Symbol(id, at, end, -1, -1));
            }
            else if (_byteIds is not null && AddBytes(word[at..end], at, symbols))
                continue;
            else if (_unknown >= 0)
            {
                if (unknown is { } pending && !_options.FuseUnknown)
                    symbols.Add(pending);
                unknown = new Symbol(_unknown, unknown is { } open && _options.FuseUnknown ? open.Start : at, end, -1, -1);
            }
        }
        if (unknown is { } last)
            symbols.Add(last);
        return [.. symbols.Select((symbol, i) => symbol with { Previous = i - 1, Next = i + 1 < symbols.Count ? i + 1 : -1 })];
    }

    private int InitialId(ReadOnlySpan<char> word, int at, int end)
    {
        var prefix = at > 0 ? _options.Prefix : "";
        var suffix = end == word.Length ? _options.Suffix : "";
        return prefix.Length + suffix.Length == 0 ? Vocabulary.IdOf(word[at..end]) : Vocabulary.IdOf($"{prefix}{word[at..end]}{suffix}");
    }

    private bool AddBytes(ReadOnlySpan<char> scalar, int at, List<Symbol> symbols)
    {
        Span<byte> bytes = stackalloc byte[4];
        bytes = bytes[..System.Text.Encoding.UTF8.GetBytes(scalar, bytes)];
        foreach (var value in bytes)
        {
            if (_byteIds![value] < 0)
                return false;
        }
        foreach (var value in bytes)
            symbols.Add(new Symbol(_byteIds![value], at, at + scalar.Length, -1, -1));
        return true;
    }

    /// <summary>A heap, since a word can be a whole document where nothing divides it (Llama 2).</summary>
    private void MergeAll(Symbol[] symbols)
    {
        var queue = new PriorityQueue<(int At, int Id), (int Rank, int At)>(symbols.Length);
        for (var i = 0; i + 1 < symbols.Length; i++)
            Offer(queue, symbols, i);
        while (queue.TryDequeue(out var best, out _))
        {
            ref var left = ref symbols[best.At];
            // Overtaken by another merge, of itself or of its right neighbour.
            if (left.Id < 0 || left.Next < 0 || !_merges.TryGetValue((left.Id, symbols[left.Next].Id), out var merge) || merge.Id != best.Id)
                continue;
            ref var right = ref symbols[left.Next];
            left = left with { Id = merge.Id, End = right.End, Next = right.Next };
            right.Id = -1;
            if (left.Next >= 0)
                symbols[left.Next].Previous = best.At;
            if (left.Previous >= 0)
                Offer(queue, symbols, left.Previous);
            if (left.Next >= 0)
                Offer(queue, symbols, best.At);
        }
    }

    private void Offer(PriorityQueue<(int At, int Id), (int Rank, int At)> queue, Symbol[] symbols, int at)
    {
        if (_merges.TryGetValue((symbols[at].Id, symbols[symbols[at].Next].Id), out var merge))
            queue.Enqueue((at, merge.Id), (merge.Rank, at));
    }
}
