using System.Collections.Concurrent;
using System.Threading.Channels;
using FineTuneService.Storage;
using Npgsql;

namespace FineTuneService.Api.Jobs;

/// <summary>
/// Wakes those who wait for events of a job: one LISTEN connection for all of them.
/// A signal carries no data and may come too often or, around a lost connection, late; whoever wakes reads the table.
/// </summary>
public sealed class EventSignals(NpgsqlDataSource database, TimeProvider clock, ILogger<EventSignals> log) : BackgroundService
{
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<Subscription, string> _subscriptions = new();

    /// <summary>Signals from now on, until disposed.</summary>
    public Subscription Subscribe(string jobId)
    {
        var subscription = new Subscription(this);
        _subscriptions[subscription] = jobId;
        return subscription;
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await Listen(stoppingToken);
            }
            catch (NpgsqlException error) when (!stoppingToken.IsCancellationRequested)
            {
                log.LogWarning("Lost the connection that listens for events ({Error}); trying again", error.Message);
                await Task.Delay(Pause, clock, stoppingToken);
            }
        }
    }

    private async Task Listen(CancellationToken cancel)
    {
        await using var connection = await database.OpenConnectionAsync(cancel);
        connection.Notification += (_, notification) => Signal(jobId => jobId == notification.Payload);
        await using (var listen = new NpgsqlCommand($"LISTEN {JobStates.Channel}", connection))
            await listen.ExecuteNonQueryAsync(cancel);
        Signal(_ => true); // What was told while nobody listened.
        while (true)
            await connection.WaitAsync(cancel);
    }

    private void Signal(Func<string, bool> concerns)
    {
        foreach (var (subscription, jobId) in _subscriptions)
            if (concerns(jobId))
                subscription.Set();
    }

    public sealed class Subscription(EventSignals signals) : IDisposable
    {
        private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

        /// <summary>False when nothing was signalled within this time.</summary>
        public async Task<bool> WaitAsync(TimeSpan patience, CancellationToken cancel)
        {
            try
            {
                return await _signal.Reader.ReadAsync(cancel).AsTask().WaitAsync(patience, signals.Clock, cancel);
            }
            catch (TimeoutException)
            {
                return false;
            }
        }

        public void Dispose() => signals._subscriptions.TryRemove(this, out _);

        internal void Set() => _signal.Writer.TryWrite(true);
    }

    private TimeProvider Clock => clock;
}
