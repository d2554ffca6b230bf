using System.Diagnostics;
using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;

namespace FineTuneService.Api.Predictions;

/// <summary>The process ended, hung or spoke nonsense; the message says which, with its last words.</summary>
public sealed class PredictorLostException(string message) : Exception(message);

/// <summary>
/// One <c>finetune predict CHECKPOINT --stdin</c>: a ready line, then a line of reply for each line of request.
/// If we die, its standard input closes and it ends.
/// </summary>
public sealed class PredictorProcess : IAsyncDisposable
{
    private const int LastWords = 20;
    private static readonly TimeSpan Farewell = TimeSpan.FromSeconds(2);

    private readonly Process _process;
    private readonly Queue<string> _lastWords = new();
    private readonly TimeProvider _clock;

    private PredictorProcess(Process process, TimeProvider clock)
    {
        (_process, _clock) = (process, clock);
        process.ErrorDataReceived += (_, line) => Remember(line.Data);
        process.BeginErrorReadLine();
    }

    public int Id => _process.Id;

    /// <summary>Starts the process and waits until its model is loaded.</summary>
    /// <exception cref="FaultException">When the checkpoint cannot be loaded.</exception>
    /// <exception cref="PredictorLostException">When it does not come up.</exception>
    public static async Task<PredictorProcess> StartAsync(string trainer, string checkpoint, TimeSpan patience, TimeProvider clock)
    {
        var start = new ProcessStartInfo(trainer, ["predict", checkpoint, "--stdin"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = checkpoint,
        };
        TrainerLocation.Restrict(start.Environment);
        var predictor = new PredictorProcess(Process.Start(start)!, clock);
        try
        {
            var hello = await predictor.Receive(patience);
            return hello.Ready == true ? predictor : throw predictor.Lost("did not say that it is ready");
        }
        catch
        {
            await predictor.DisposeAsync();
            throw;
        }
    }

    /// <summary>Not to be called before the last answer has come.</summary>
    /// <exception cref="FaultException">When the inputs are refused.</exception>
    /// <exception cref="PredictorLostException">When no answer comes; the process is of no more use.</exception>
    public async Task<IReadOnlyList<Prediction>> AskAsync(PredictRequest request, TimeSpan patience)
    {
        try
        {
            await _process.StandardInput.WriteLineAsync(JsonSerializer.Serialize(request, SnakeCaseJson.Options));
            await _process.StandardInput.FlushAsync();
        }
        catch (IOException)
        {
            throw Lost("no longer listens");
        }
        return (await Receive(patience)).Predictions is { } predictions && predictions.Count == request.Inputs.Count ? predictions : throw Lost("gave no predictions");
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

    private async Task<PredictReply> Receive(TimeSpan patience)
    {
        try
        {
            var line = await _process.StandardOutput.ReadLineAsync().WaitAsync(patience, _clock) ?? throw Lost("ended");
            var reply = JsonSerializer.Deserialize<PredictReply>(line, SnakeCaseJson.Options)!;
            return reply.Faults is { } faults ? throw new FaultException(faults) : reply;
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

    private void Remember(string? line)
    {
        lock (_lastWords)
        {
            if (line is not null)
                _lastWords.Enqueue(line);
            if (_lastWords.Count > LastWords)
                _lastWords.Dequeue();
        }
    }

    private PredictorLostException Lost(string how)
    {
        lock (_lastWords)
            return new($"The predictor {how}. {string.Join(Environment.NewLine, _lastWords)}");
    }
}
