using System.Diagnostics;

namespace FineTuneService.Bench;

internal static class ChildProcess
{
    /// <returns>What it said, and the seconds from its start to its end.</returns>
    /// <exception cref="InvalidOperationException">When it fails.</exception>
    public static (string Said, double Seconds) Run(ProcessStartInfo start, Action<Stream>? feed = null)
    {
        start.RedirectStandardOutput = true;
        var clock = Stopwatch.StartNew();
        using var process = Process.Start(start)!;
        if (feed is not null)
        {
            feed(process.StandardInput.BaseStream);
            process.StandardInput.Close();
        }
        var said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? (said, clock.Elapsed.TotalSeconds) : throw new InvalidOperationException($"{start.FileName} ended with {process.ExitCode}: {said}");
    }
}
