using System.Text;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tokenization;

public sealed record Encoding(int[] Ids, int[] TypeIds, int[] SpecialTokensMask, (int Start, int End)[] Offsets)
{
    public int TruncatedTokens { get; init; }
}

public sealed class Tokenizer
{
    private readonly Dictionary<string, int> _vocab;

    private Tokenizer(string folder)
    {
        var path = Path.Combine(folder, "vocab.txt");
        if (!File.Exists(path))
            throw new FaultException(folder, null, "No tokenizer.", "Add one.");
        _vocab = File.ReadLines(path).Index().ToDictionary(line => line.Item, line => line.Index);
        Files = [.. new[] { "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json" }.Where(name => File.Exists(Path.Combine(folder, name)))];
    }

    public int? PadTokenId => _vocab["[PAD]"];

    public IReadOnlyList<string> Files { get; }

    public static Tokenizer Load(string folder) => new(folder);

    public Encoding Encode(string text, string? pair = null, bool addSpecialTokens = true, int? maxLength = null)
    {
        var ids = new List<int> { _vocab["[CLS]"] };
        var spaced = new StringBuilder();
        foreach (var c in text.ToLowerInvariant())
            spaced.Append(char.IsLetterOrDigit(c) || char.IsWhiteSpace(c) ? $"{c}" : $" {c} ");
        foreach (var word in spaced.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))
        {
            var pieces = new List<int>();
            for (var start = 0; start < word.Length;)
            {
                var end = word.Length;
                while (end > start && !_vocab.ContainsKey((start > 0 ? "##" : "") + word[start..end]))
                    end--;
                if (end == start)
                {
                    pieces = [_vocab["[UNK]"]];
                    break;
                }
                pieces.Add(_vocab[(start > 0 ? "##" : "") + word[start..end]]);
                start = end;
            }
            ids.AddRange(pieces);
        }
        var cut = Math.Max(0, ids.Count + 1 - (maxLength ?? int.MaxValue));
        ids.RemoveRange(ids.Count - cut, cut);
        ids.Add(_vocab["[SEP]"]);
        return new([.. ids], new int[ids.Count], new int[ids.Count], new (int, int)[ids.Count]) { TruncatedTokens = cut };
    }
}
