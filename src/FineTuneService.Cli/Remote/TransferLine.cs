using System.Globalization;

namespace FineTuneService.Cli.Remote;

/// <summary>On standard error, where it is a terminal: how much of something has gone over the wire.</summary>
internal sealed class TransferLine(string what, long total) : IProgress<long>, IDisposable
{
    private readonly bool _live = !Console.IsErrorRedirected;

    public void Report(long value)
    {
        if (_live)
            Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"\r\u001b[2K{what}: {value / 1e6:N1} of {total / 1e6:N1} MB"));
    }

    public void Dispose()
    {
        if (_live)
            Console.Error.Write("\r\u001b[2K");
    }
}
