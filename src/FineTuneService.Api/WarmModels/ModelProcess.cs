using System.Diagnostics;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;

namespace FineTuneService.Api.WarmModels;

/// <summary>The process ended, hung or spoke nonsense; the message says which, with its last words.</summary>
public sealed class ProcessLostException(string message) : Exception(message);

/// <summary>
/// One <c>finetune predict</c> or <c>generate</c>, <c>CHECKPOINT --stdin</c>: a ready line, then for each line of request lines of reply up to its last.
/// If we die, its standard input closes and it ends.
/// </summary>
public sealed class ModelProcess : IAsyncDisposable
{
    private const int LastWords = 20;
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);

    private readonly Process _process;
    private readonly LastLines _lastWords = new(LastWords);
    private readonly string _checkpoint;
    private readonly TimeProvider _clock;
    private Task<string?>? _line;

    private ModelProcess(Process process, string checkpoint, TimeProvider clock)
    {
        (_process, _checkpoint, _clock) = (process, checkpoint, clock);
        process.ErrorDataReceived += (_, line) => _lastWords.Add(line.Data);
        process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    /// <summary>From the start until its model was loaded.</summary>
    public TimeSpan LoadTime { get; private set; }

    /// <summary>A request was sent, and the last line of its reply has not been read.</summary>
    public bool IsAnswering { get; private set; }

    /// <summary>Starts the process and waits until its model is loaded.</summary>
    /// <exception cref="FaultException">When the checkpoint cannot be loaded, or is none for this verb.</exception>
    /// <exception cref="ProcessLostException">When it does not come up.</exception>
    public static async Task<ModelProcess> StartAsync(string trainer, string verb, string checkpoint, TimeSpan patience, TimeProvider clock)
    {
        var start = new ProcessStartInfo(trainer, [verb, checkpoint, "--stdin"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = checkpoint,
        };
        TrainerLocation.Restrict(start.Environment);
        var started = clock.GetTimestamp();
        var process = new ModelProcess(Process.Start(start)!, checkpoint, clock);
        try
        {
            var hello = await process.ReceiveAsync<ModelReply>(patience, CancellationToken.None);
            process.LoadTime = clock.GetElapsedTime(started);
            return hello.Ready == true ? process : throw process.Lost("did not say that it is ready");
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    /// <summary>Not to be called while <see cref="IsAnswering"/>.</summary>
    /// <exception cref="ProcessLostException">When it no longer listens.</exception>
    public async Task SendAsync(object request)
    {
        try
        {
            IsAnswering = true;
            await _process.StandardInput.WriteLineAsync(JsonSerializer.Serialize(request, SnakeCaseJson.Options));
            await _process.StandardInput.FlushAsync();
        }
        catch (IOException)
        {
            throw Lost("no longer listens");
        }
    }

    /// <summary>The next line of a reply. When cancelled, that line is still to come: the next call gets it.</summary>
    /// <exception cref="FaultException">When the request is refused; that is the reply's last line. The checkpoint's folder is called <c>?checkpoint</c>.</exception>
    /// <exception cref="ProcessLostException">When no line comes; the process is of no more use.</exception>
    public async Task<TReply> ReceiveAsync<TReply>(TimeSpan patience, CancellationToken cancel) where TReply : ModelReply
    {
        try
        {
            _line ??= _process.StandardOutput.ReadLineAsync(CancellationToken.None).AsTask(); // Half a line that was read would be lost.
            var line = await _line.WaitAsync(patience, _clock, cancel) ?? throw Lost("ended");
            _line = null;
            var reply = JsonSerializer.Deserialize<TReply>(line, SnakeCaseJson.Options)!;
            IsAnswering = !reply.IsLast;
            return reply.Faults is { } faults
                ? throw new FaultException([.. faults.Select(fault => fault with { Pointer = fault.Pointer.Replace(_checkpoint, "?checkpoint", StringComparison.Ordinal) })])
                : reply;
        }
        catch (TimeoutException)
        {
            throw Lost($"said nothing for {patience.TotalSeconds} seconds");
        }
        catch (JsonException)
        {
            throw Lost("said something that is no reply");
        }
    }

    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.StandardInput.Close();
            await _process.WaitForExitAsync().WaitAsync(Farewell, _clock);
        }
        catch (Exception error) when (error is TimeoutException or IOException)
        {
            _process.Kill(entireProcessTree: true);
        }
        _process.Dispose();
    }

    private ProcessLostException Lost(string how) => new($"The process {how}. {_lastWords}");
}
