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

    private readonly Process _process;
    private readonly Queue<string> _errors = new();

    public TrainerProcess(TrainerLocation trainer, RunFolder folder, int attempt, string datasetCache, long datasetCacheBytes)
    {
        var start = new ProcessStartInfo(trainer.Path, ["train", folder.Path, "--supervised", "--attempt", attempt.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardInput = true,
            RedirectStandardError = true,
            WorkingDirectory = folder.Path,
        };
        TrainerLocation.Restrict(start.Environment);
        start.Environment[TrainerVariables.DatasetCache] = datasetCache == "off" ? datasetCache : Path.GetFullPath(datasetCache);
        start.Environment[TrainerVariables.DatasetCacheBytes] = datasetCacheBytes.ToString(CultureInfo.InvariantCulture);
        _process = Process.Start(start)!;
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginErrorReadLine();
    }

    public int ExitCode => _process.ExitCode;

    /// <summary>The last lines of standard error: for operators, not for users.</summary>
    public string Errors
    {
        get
        {
            lock (_errors)
                return string.Join('\n', _errors);
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

    private void Keep(string? line)
    {
        if (line is null)
            return;
        lock (_errors)
        {
            _errors.Enqueue(line);
            if (_errors.Count > KeptErrorLines)
                _errors.Dequeue();
        }
    }
}
