using System.Diagnostics;
using System.Runtime.InteropServices;

namespace FineTuneService.Cli;

/// <summary>
/// How a run is asked to stop: by SIGTERM or SIGINT, or, under a supervisor, by the line <c>stop</c> on standard input.
/// The end of that input means that the supervisor is dead; then this process ends at once, so that another may take the run.
/// </summary>
internal sealed class Supervision : IDisposable
{
    private const int FileTooLarge = 25; // SIGXFSZ, signal.h

    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _signals;

    public Supervision(bool supervised)
    {
        _signals =
        [
            Register(PosixSignal.SIGTERM, _stop.Cancel),
            Register(PosixSignal.SIGINT, _stop.Cancel),
            Register((PosixSignal)FileTooLarge, () => { }), // The write fails then, and is dealt with; unheard, the signal would kill.
        ];
        if (supervised)
            new Thread(Listen) { IsBackground = true, Name = "supervision" }.Start();
    }

    public CancellationToken Stop => _stop.Token;

    public void Dispose()
    {
        foreach (var signal in _signals)
            signal.Dispose();
    }

    private static PosixSignalRegistration Register(PosixSignal signal, Action heard) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        heard();
    });

    private void Listen()
    {
        using var input = new StreamReader(Console.OpenStandardInput());
        while (input.ReadLine() is { } line)
            if (line == "stop")
                _stop.Cancel();
        // A native computation may hold the main thread for long: no clean-up, the log and the checkpoints are sound at any instant.
        Process.GetCurrentProcess().Kill();
    }
}
