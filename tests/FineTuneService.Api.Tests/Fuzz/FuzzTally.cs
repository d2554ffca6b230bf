using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;

namespace FineTuneService.Api.Tests.Fuzz;

/// <summary>What came of spoilt inputs of one kind. A run that did not come to its last input has failed, whatever it found.</summary>
/// <param name="clock">Runs from the first input on.</param>
internal sealed class FuzzTally(string kind, int inputs, Stopwatch clock)
{
    private const int Enough = 10, ShownBytes = 600;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly ConcurrentQueue<string> _failures = new();
    private readonly Lock _lock = new();
    private (TimeSpan Took, int Seed) _slowest;
    private int _done, _taken;

    public bool HasEnough => _failures.Count >= Enough;

    public static bool IsTooLong(TimeSpan took) => took > Patience;

    /// <param name="isTaken">Whether it was sound in spite of all; else it was refused.</param>
    /// <param name="problem">Null when it was read or refused as it should be.</param>
    public void Count(int seed, byte[] input, TimeSpan took, bool isTaken, string? problem)
    {
        lock (_lock)
        {
            _done++;
            _taken += isTaken ? 1 : 0;
            _slowest = took > _slowest.Took ? (took, seed) : _slowest;
        }
        if (problem is not null || IsTooLong(took))
            _failures.Enqueue($"seed {seed}: {problem ?? $"takes {took.TotalSeconds:F1} s"}\n    {(input.Length <= ShownBytes ? Convert.ToBase64String(input) : $"{input.Length} bytes, which the seed makes again")}");
    }

    /// <summary>Prints the figures of a long run, and fails with each failure and what is needed to repeat it.</summary>
    public void Judge(bool print)
    {
        using var process = Process.GetCurrentProcess();
        var figures = string.Create(CultureInfo.InvariantCulture,
            $"fuzz {kind,-18} {_done,6} of {inputs} inputs, {_taken,5} taken, {_done / clock.Elapsed.TotalSeconds,6:F0}/s, slowest {_slowest.Took.TotalMilliseconds,6:F0} ms (seed {_slowest.Seed}), process at most {process.PeakWorkingSet64 >> 20} MB");
        if (print)
            Console.WriteLine(figures);
        Assert.True(_failures.IsEmpty, $"{kind}:\n{string.Join('\n', _failures)}");
        Assert.True(_done == inputs, $"The run was cut short: {figures}");
    }
}
