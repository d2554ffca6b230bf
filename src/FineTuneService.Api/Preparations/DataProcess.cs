using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;

namespace FineTuneService.Api.Preparations;

/// <summary>One <c>finetune report</c> or <c>finetune clean</c>, with its progress. If we die, its standard input closes and it ends.</summary>
public sealed class DataProcess : IDisposable
{
    private const int KeptErrorLines = 20;

    private readonly Process _process;
    private readonly Queue<string> _errors = new();
    private volatile DataProgress? _progress;

    public DataProcess(TrainerLocation trainer, IEnumerable<string> arguments, string folder)
    {
        var start = new ProcessStartInfo(trainer.Path, [.. arguments, "--progress", "--supervised"]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        TrainerLocation.Restrict(start.Environment);
        _process = Process.Start(start)!;
        StepBack();
        _process.OutputDataReceived += (_, line) => _progress = line.Data is { Length: > 0 } json ? JsonSerializer.Deserialize<DataProgress>(json, SnakeCaseJson.Options) : _progress;
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>The last that it told; null: nothing yet.</summary>
    public DataProgress? Progress => _progress;

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

    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }

    /// <summary>It computes on all cores; the service is to answer nevertheless.</summary>
    private void StepBack()
    {
        try
        {
            _process.PriorityClass = ProcessPriorityClass.BelowNormal;
        }
        catch (Exception error) when (error is InvalidOperationException or Win32Exception)
        {
            // It has ended already; its exit code tells why.
        }
    }

    private void Keep(string? line)
    {
        lock (_errors)
        {
            if (line is not null)
                _errors.Enqueue(line);
            if (_errors.Count > KeptErrorLines)
                _errors.Dequeue();
        }
    }
}
