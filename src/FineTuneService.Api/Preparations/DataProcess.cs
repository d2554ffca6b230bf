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
    private readonly LastLines _errors = new(KeptErrorLines);
    private volatile DataProgress? _progress;

    public DataProcess(TrainerLocation trainer, IEnumerable<string> arguments, string folder)
    {
        var start = new ProcessStartInfo(trainer.Path, [.. arguments, "--progress", "--supervised"]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder };
        TrainerLocation.Restrict(start.Environment);
        _process = Process.Start(start)!;
        TrainerLocation.StepBack(_process);
        _process.OutputDataReceived += (_, line) => Hear(line.Data);
        _process.ErrorDataReceived += (_, line) => _errors.Add(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    /// <summary>The last that it told; null: nothing yet.</summary>
    public DataProgress? Progress => _progress;

    public int ExitCode => _process.ExitCode;

    /// <summary>The last lines of standard error: for operators, not for users.</summary>
    public string Errors => _errors.ToString();

    public Task Exited(CancellationToken cancel) => _process.WaitForExitAsync(cancel);

    /// <summary>Returns when it is gone, and with it whatever it would still write.</summary>
    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _process.Dispose();
    }

    private void Hear(string? line)
    {
        try
        {
            _progress = line is { Length: > 0 } ? JsonSerializer.Deserialize<DataProgress>(line, SnakeCaseJson.Options) : _progress;
        }
        catch (JsonException)
        {
            _errors.Add(line); // A library's own words.
        }
    }
}
