using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using FineTuneService.Contracts;
using FineTuneService.Storage;

namespace FineTuneService.Worker;

/// <summary>
/// The child process that trains one run. It watches its standard input: the line <c>stop</c> asks for a checkpoint and the end,
/// and when the input closes, because this process has died, it ends at once. So a run never outlives its worker.
/// </summary>
internal sealed class TrainerProcess : IDisposable
{
    private const int KeptErrorLines = 40;
    private const int SigAbort = 6, SigKill = 9;

    private static readonly string[] AbortWords = ["std::bad_alloc", "Out of memory", "can't allocate memory", "CUDA out of memory", "could not create a primitive"]; // The last is oneDNN's, which TorchSharp does not catch.

    private readonly Process _process;
    private readonly LastLines _errors = new(KeptErrorLines);
    private readonly long _oomKillsBefore = OomKills();
    private volatile bool _saidWhy;

    /// <param name="memoryLimit">As <c>--memory-limit</c> has it; null: none.</param>
    public TrainerProcess(TrainerLocation trainer, RunFolder folder, int attempt, string? memoryLimit, string datasetCache, long datasetCacheBytes)
    {
        string[] limit = memoryLimit is null ? [] : ["--memory-limit", memoryLimit];
        var start = new ProcessStartInfo(trainer.Path, ["train", folder.Path, "--supervised", "--attempt", attempt.ToString(CultureInfo.InvariantCulture), .. limit])
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder.Path,
        };
        TrainerLocation.Restrict(start.Environment);
        start.Environment[TrainerVariables.DatasetCache] = datasetCache == "off" ? datasetCache : Path.GetFullPath(datasetCache);
        start.Environment[TrainerVariables.DatasetCacheBytes] = datasetCacheBytes.ToString(CultureInfo.InvariantCulture);
        if (Activity.Current?.Id is { } trace)
            start.Environment["TRACEPARENT"] = trace; // As OpenTelemetry names it, for whatever in there may want to tell.
        _process = Process.Start(start)!;
        TrainerLocation.StepBack(_process);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginErrorReadLine();
    }

    public int ExitCode => _process.ExitCode;

    /// <summary>The last lines of standard error: for operators, not for users.</summary>
    public string Errors => _errors.ToString();

    /// <summary>
    /// Why it counts as dead for want of memory; null: it does not. Either the kernel has killed a process to free memory meanwhile (<c>oom_kill</c> of proc(5)'s vmstat) and this one was killed,
    /// or it has aborted with the words of the C++ or .NET runtime for it, from where nothing can be caught.
    /// </summary>
    public string? WantOfMemory =>
        ExitCode == 128 + SigKill && OomKills() > _oomKillsBefore ? "The system killed the trainer because memory ran out"
        : ExitCode == 128 + SigAbort && _saidWhy ? "The trainer aborted because memory ran out"
        : null;

    /// <summary>Processor time used so far; zero when it has just ended.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            try
            {
                return _process.TotalProcessorTime;
            }
            catch (Exception error) when (error is InvalidOperationException or Win32Exception)
            {
                return TimeSpan.Zero;
            }
        }
    }

    public Task Exited(CancellationToken cancel) => _process.WaitForExitAsync(cancel);

    /// <summary>Asks for a checkpoint and the end; kills when that takes longer than <paramref name="patience"/>.</summary>
    public async Task Stop(TimeSpan patience, TimeProvider clock)
    {
        try
        {
            await _process.StandardInput.WriteLineAsync("stop");
            await _process.StandardInput.FlushAsync();
        }
        catch (IOException)
        {
            // It has ended by itself.
        }
        using var tooLong = new CancellationTokenSource(patience, clock);
        try
        {
            await _process.WaitForExitAsync(tooLong.Token);
        }
        catch (OperationCanceledException)
        {
            Kill();
            await _process.WaitForExitAsync(CancellationToken.None);
        }
    }

    public void Kill() => _process.Kill(entireProcessTree: true);

    public void Dispose()
    {
        if (!_process.HasExited)
            Kill();
        _process.Dispose();
    }

    private static long OomKills()
    {
        const string Statistics = "/proc/vmstat", Counter = "oom_kill ";
        return File.Exists(Statistics) && File.ReadLines(Statistics).FirstOrDefault(line => line.StartsWith(Counter, StringComparison.Ordinal)) is { } line
            ? long.Parse(line.AsSpan(Counter.Length), CultureInfo.InvariantCulture)
            : 0;
    }

    private void Keep(string? line)
    {
        _saidWhy |= line is not null && AbortWords.Any(word => line.Contains(word, StringComparison.Ordinal)); // A long trace follows the words.
        _errors.Add(line);
    }
}
