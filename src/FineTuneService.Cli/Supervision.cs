using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using FineTuneService.Contracts;

namespace FineTuneService.Cli;

/// <summary>
/// How a run is asked to stop: by SIGTERM or SIGINT, or, under a supervisor, by the line <c>stop</c> on standard input.
/// The end of that input means that the supervisor is dead; then this process ends at once, so that another may take the run. It also ends at once
/// when the run belongs to a later attempt: its supervisor was taken for dead and may be, or sleeps, or is cut off from the database.
/// </summary>
internal sealed class Supervision : IDisposable
{
    private const int FileTooLarge = 25; // SIGXFSZ, signal.h

    private static readonly TimeSpan FenceInterval = TimeSpan.FromMilliseconds(500);

    private readonly CancellationTokenSource _stop = new();
    private readonly PosixSignalRegistration[] _signals;

    private readonly Timer? _fence;

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

    /// <param name="folder">Whose attempt this process is.</param>
    public Supervision(RunFolder folder, int attempt) : this(supervised: true) => _fence = new Timer(_ => EndIfReplaced(folder, attempt), null, TimeSpan.Zero, FenceInterval);

    public CancellationToken Stop => _stop.Token;

    public void Dispose()
    {
        _fence?.Dispose();
        foreach (var signal in _signals)
            signal.Dispose();
    }

    private static PosixSignalRegistration Register(PosixSignal signal, Action heard) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        heard();
    });

    /// <summary>For work that leaves nothing half done: it only ends with its supervisor.</summary>
    public static void EndWithInput() => new Thread(AwaitEnd) { IsBackground = true, Name = "supervision" }.Start();

    private static void AwaitEnd()
    {
        using var input = Console.OpenStandardInput();
        while (input.ReadByte() >= 0)
        {
            // Nothing is said; only its end matters.
        }
        End();
    }

    private void Listen()
    {
        using var input = new StreamReader(Console.OpenStandardInput());
        while (input.ReadLine() is { } line)
            if (line == "stop")
                _stop.Cancel();
        End();
    }

    private static void EndIfReplaced(RunFolder folder, int attempt)
    {
        try
        {
            if (File.Exists(folder.Owner) && int.TryParse(File.ReadAllText(folder.Owner), NumberStyles.None, CultureInfo.InvariantCulture, out var owner) && owner > attempt)
                End();
        }
        catch (IOException)
        {
            // Looked at again soon.
        }
    }

    /// <summary>A native computation may hold the main thread for long: no clean-up, the log and the checkpoints are sound at any instant.</summary>
    private static void End() => Process.GetCurrentProcess().Kill();
}
