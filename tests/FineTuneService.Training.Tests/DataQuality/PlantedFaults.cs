using System.Text;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;

namespace FineTuneService.Training.Tests.DataQuality;

/// <summary>A real dataset with faults that are known: wrong labels, copies with small edits, training rows that are validation rows.</summary>
internal sealed class PlantedFaults
{
    private const int FewestWords = 6; // of a text that is copied: in a shorter one no edit is small

    private readonly List<(string Text, string Label)> _train;
    private readonly List<(string Text, string Label)> _validation;
    private readonly Random _random;

    /// <param name="rows">Text and label.</param>
    public PlantedFaults(IEnumerable<(string Text, string Label)> rows, int seed, double flips = 0.05, double copies = 0.03, double leaks = 0.01)
    {
        _random = new(seed);
        var all = rows.ToArray();
        _random.Shuffle(all);
        (_validation, _train) = ([.. all.Take(all.Length / 10)], [.. all.Skip(all.Length / 10)]);
        var (count, labels) = (_train.Count, _train.Select(row => row.Label).Distinct().Order(StringComparer.Ordinal).ToArray());
        foreach (var row in Drawn(Enumerable.Range(0, count), flips * count))
        {
            Flipped.Add(LineOf(row), _train[row].Label);
            _train[row] = (_train[row].Text, labels.Where(label => label != _train[row].Label).ElementAt(_random.Next(labels.Length - 1)));
        }
        foreach (var row in Drawn(Enumerable.Range(0, count).Where(row => Words(_train[row].Text).Length >= FewestWords), copies * count))
        {
            Copies.Add(LineOf(_train.Count), LineOf(row));
            _train.Add((Edited(_train[row].Text), _train[row].Label));
        }
        foreach (var row in Drawn(Enumerable.Range(0, _validation.Count), leaks * count))
        {
            Leaks.Add(LineOf(_train.Count));
            _train.Add(_random.Next(2) == 0 ? (_validation[row].Text.ToUpperInvariant(), _validation[row].Label) : (_validation[row].Text.Replace(" ", "  ", StringComparison.Ordinal), _validation[row].Label));
        }
    }

    /// <summary>Lines of training rows with a wrong label, and the right one.</summary>
    public Dictionary<long, string> Flipped { get; } = [];

    /// <summary>Lines of edited copies, and those of what they were copied from.</summary>
    public Dictionary<long, long> Copies { get; } = [];

    /// <summary>Lines of training rows that stand in the validation rows.</summary>
    public HashSet<long> Leaks { get; } = [];

    public static IEnumerable<(string Text, string Label)> Sst2() => Read(Path.Combine(AppContext.BaseDirectory, "samples", "sst2", "train.tsv"), "label");

    public static IEnumerable<(string Text, string Label)> Banking77() => Read(Path.Combine(AppContext.BaseDirectory, "Fixtures", "banking77", "train.csv"), "category");

    public void WriteTo(QualityFolder folder)
    {
        folder.Write("train.jsonl", Lines(_train));
        folder.Write("validation.jsonl", Lines(_validation), DataSplit.Validation);
    }

    /// <summary>Whether two training rows differ in two words at most, or share three quarters of them, marks, case and order aside; or one is a copy of the other: real data have near-duplicates of their own.</summary>
    public bool AreAlike(long one, long other)
    {
        if (Copies.GetValueOrDefault(one) == other || Copies.GetValueOrDefault(other) == one)
            return true;
        List<string> left = [.. Words(_train[(int)one - 1].Text)], right = [.. Words(_train[(int)other - 1].Text)];
        var shared = left.ToArray().Count(word => right.Remove(word) && left.Remove(word));
        return Math.Max(left.Count, right.Count) <= 2 || shared >= 3 * Math.Max(left.Count, right.Count);
    }

    private static IEnumerable<(string Text, string Label)> Read(string path, string label) =>
        DataFile.Open(path).Rows().Select(row => (CellText.Of(row["text"])!, CellText.Of(row[label])!)).DistinctBy(row => HeldOut.KeyOf(row.Item1));

    private static string Lines(IEnumerable<(string Text, string Label)> rows) =>
        string.Concat(rows.Select(row => System.Text.Json.JsonSerializer.Serialize(new { row.Text, row.Label }, SnakeCaseJson.Options) + "\n"));

    private static long LineOf(int row) => row + 1;

    private static string[] Words(string text)
    {
        var plain = new StringBuilder();
        foreach (var next in text.Where(next => next is not ('\'' or '’')))
            plain.Append(char.IsLetterOrDigit(next) ? char.ToLowerInvariant(next) : ' ');
        return plain.ToString().Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }

    private int[] Drawn(IEnumerable<int> rows, double count)
    {
        var drawn = rows.ToArray();
        _random.Shuffle(drawn);
        return drawn[..(int)Math.Round(count)];
    }

    /// <summary>What a person or a form does to a sentence: a typing error, a word left out, said twice or exchanged with the next, other marks, a word more.</summary>
    private string Edited(string text)
    {
        var words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries).ToList();
        var at = _random.Next(words.Count - 1);
        switch (_random.Next(6))
        {
            case 0:
                var word = words.MaxBy(word => word.Length)!;
                var letter = _random.Next(word.Length);
                words[words.IndexOf(word)] = $"{word[..letter]}{(char)('a' + _random.Next(26))}{word[(letter + 1)..]}";
                break;
            case 1: words.RemoveAt(at); break;
            case 2: words.Insert(at, words[at]); break;
            case 3: (words[at], words[at + 1]) = (words[at + 1], words[at]); break;
            case 4: words[^1] += " !!"; words[0] = words[0].ToUpperInvariant(); break;
            default: words.Add("thanks"); break;
        }
        return string.Join(' ', words);
    }
}
