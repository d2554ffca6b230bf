using System.Diagnostics;
using System.Globalization;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Bench;

/// <summary>Text to ids: megabytes of UTF-8 a second, on one thread and on all.</summary>
internal static class TokenizerBenchmark
{
    /// <param name="folders">One tokenizer each.</param>
    /// <param name="lines">The text; every rate is that of a fresh tokenizer, whose cache of words is empty.</param>
    public static void Run(IEnumerable<string> folders, string[] lines)
    {
        var megabytes = lines.Sum(System.Text.Encoding.UTF8.GetByteCount) / 1e6;
        foreach (var folder in folders)
        {
            Pass(folder, tokenizer => Array.ForEach(lines, line => tokenizer.Encode(line))); // The compiler's turn.
            var (loading, one) = Pass(folder, tokenizer => Array.ForEach(lines, line => tokenizer.Encode(line)));
            var (_, all) = Pass(folder, tokenizer => Parallel.ForEach(lines, line => tokenizer.Encode(line)));
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"tokenizer {Path.GetFileName(Path.TrimEndingDirectorySeparator(folder)),-26} loads in {loading * 1000,4:F0} ms; {megabytes / one,5:F1} MB/s on one thread (bar 1.0), {megabytes / all,5:F1} MB/s on {Environment.ProcessorCount}"));
        }
    }

    private static (double Loading, double Encoding) Pass(string folder, Action<Tokenizer> encode)
    {
        var clock = Stopwatch.StartNew();
        var tokenizer = Tokenizer.Load(folder);
        var loading = clock.Elapsed.TotalSeconds;
        encode(tokenizer);
        return (loading, clock.Elapsed.TotalSeconds - loading);
    }
}
