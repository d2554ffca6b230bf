using FineTuneService.Contracts;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.DataQuality;

/// <summary>How long the training rows are, and what a model would not read of them.</summary>
internal static class LengthMeasure
{
    private const int Bins = 20;
    private const int UsualMaxLength = 512;
    private static readonly int[] UsualLimits = [64, 128, 256, 512];

    /// <summary>Characters that are tokenized at most: some seconds.</summary>
    private const long MostCharacters = 16_000_000;

    /// <summary>A twentieth of all tokens lost matters.</summary>
    private const double MuchLost = 0.05;

    /// <param name="tokenizer">Null: lengths are in words.</param>
    public static LengthReport Of(DataAnalysis data, Tokenizer? tokenizer, int? maxLength)
    {
        var limit = maxLength ?? Math.Min(UsualMaxLength, tokenizer?.ModelMaxLength ?? UsualMaxLength);
        var usable = data.Usable(DataSplit.Train).ToArray();
        int[] lengths = [.. tokenizer is null ? usable.Select(row => data.Scan.Rows[row].Words) : Sampled(data, usable).AsParallel().Select(text => tokenizer.Encode(text).Ids.Length)];
        Array.Sort(lengths);
        var total = lengths.Sum(length => (double)length);
        return new()
        {
            Unit = tokenizer is null ? "words" : "tokens",
            Rows = lengths.Length,
            IsSample = lengths.Length < usable.Length,
            Mean = lengths.Length == 0 ? 0 : Math.Round(total / lengths.Length, 1),
            Min = At(0),
            Median = At(0.5),
            P95 = At(0.95),
            P99 = At(0.99),
            Max = At(1),
            Histogram = Histogram(lengths, At(0.99)),
            Truncation = [.. UsualLimits.Append(limit).Distinct().Order().Select(most => new TruncationShare(
                most,
                lengths.Length == 0 ? 0 : Math.Round(lengths.Count(length => length > most) / (double)lengths.Length, 4),
                total == 0 ? 0 : Math.Round(lengths.Sum(length => (double)Math.Max(0, length - most)) / total, 4)))],
        };

        int At(double share) => lengths.Length == 0 ? 0 : lengths[(int)Math.Min(lengths.Length - 1, share * lengths.Length)];
    }

    /// <param name="maxLength">As given, or chosen by <see cref="Of"/>.</param>
    public static FindingDraft? Truncated(LengthReport lengths, int maxLength) =>
        lengths.Unit == "tokens" && lengths.Truncation.First(share => share.MaxLength == maxLength) is { } lost && lost.Units >= MuchLost
            ? new(
                DataIssue.Truncation, FindingSeverity.Warning, DataSplit.Train, (long)Math.Round(lost.Rows * lengths.Rows), [],
                FormattableString.Invariant($"At max_length {maxLength}, {lost.Rows:P1} of the rows are cut, and {lost.Units:P1} of all tokens are never read."),
                $"Raise max_length (95 % of the rows have at most {lengths.P95} tokens), or split long texts.")
            : null;

    private static List<string> Sampled(DataAnalysis data, int[] usable)
    {
        var (texts, characters) = (new List<string>(), 0L);
        foreach (var row in usable.Where(data.Scan.Sample.Texts.ContainsKey).OrderBy(data.Scan.Sample.Draw))
        {
            texts.Add(data.Scan.Sample.Texts[row]);
            characters += texts[^1].Length;
            if (characters > MostCharacters)
                break;
        }
        return texts;
    }

    /// <summary>Of equal width, but the last, which has what is far beyond.</summary>
    private static LengthBin[] Histogram(int[] sorted, int p99)
    {
        if (sorted.Length == 0)
            return [];
        var width = Math.Max(1, (p99 + Bins - 1) / Bins);
        var counts = new long[Bins + 1];
        foreach (var length in sorted)
            counts[Math.Min(Bins, Math.Max(0, length - 1) / width)]++;
        return [.. counts.Select((rows, at) => new LengthBin(at * width + 1, at == Bins ? Math.Max(sorted[^1], at * width + 1) : (at + 1) * width, rows))];
    }
}
