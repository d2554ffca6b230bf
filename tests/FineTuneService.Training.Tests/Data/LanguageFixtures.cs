using FineTuneService.Training.Data;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Data;

/// <summary>A tiny Llama with random weights, a small tokenizer and a ChatML template, and files that live as long as a test.</summary>
public sealed class LanguageFixtures : IDisposable
{
    public static string Folder { get; } = Path.Combine(AppContext.BaseDirectory, "Fixtures", "language");

    public static string TinyLlama { get; } = Path.Combine(Folder, "tiny-llama");

    public static Tokenizer Tokenizer { get; } = Tokenizer.Load(TinyLlama);

    private readonly string _folder = Directory.CreateTempSubdirectory("language-").FullName;

    public string Write(string name, params string[] lines)
    {
        var path = Path.Combine(_folder, name);
        File.WriteAllLines(path, lines);
        return path;
    }

    /// <summary>A batch of these rows, each of one or several texts.</summary>
    public static Batch Collate(IReadOnlyList<IReadOnlyList<TokenSequence>> rows, long padding)
    {
        var data = TokenizedDataset.Build(draft => draft.Write("train", [.. rows.Select(row => new StoredRow([.. row.Select(draft.Add)], []))]));
        return new TokenSequences(data.Train, padding).Collate([.. Enumerable.Range(0, rows.Count)]);
    }

    /// <summary>The text of the tokens that are learnt, and that of those that are not, in brackets.</summary>
    public static string Show(TokenSequence text)
    {
        var shown = new System.Text.StringBuilder();
        for (int start = 0, end; start < text.Length; start = end)
        {
            var learnt = text.Weights[start] > 0;
            for (end = start; end < text.Length && text.Weights[end] > 0 == learnt;)
                end++;
            var part = Tokenizer.Decode(text.Ids[start..end]);
            shown.Append(learnt ? part : $"[{part}]");
        }
        return shown.ToString();
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);
}
