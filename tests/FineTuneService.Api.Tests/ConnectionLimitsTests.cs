using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using FineTuneService.Api.Access;

namespace FineTuneService.Api.Tests;

/// <summary>Clients that are slow, talk too much or promise too much are turned away, and all others do not notice.</summary>
public sealed class ConnectionLimitsTests(Api api, ConnectionLimitsTests.Impatient impatient) : IClassFixture<ConnectionLimitsTests.Impatient>
{
    private const int Connections = 40;
    private static readonly TimeSpan Grace = TimeSpan.FromSeconds(2), Headers = TimeSpan.FromSeconds(2), KeepAlive = TimeSpan.FromSeconds(2);

    /// <summary>Kestrel looks at its connections once a second, and this machine may be busy.</summary>
    private static readonly TimeSpan Late = TimeSpan.FromSeconds(20);

    private readonly OwnApi _own = impatient.Service;
    private readonly HttpClient _http = impatient.Service.Client(Api.Key);

    [Fact]
    public async Task Slow_uploads_are_cut_off_and_a_poll_is_as_fast_as_ever()
    {
        await Poll();
        var clock = Stopwatch.StartNew();
        var slow = Enumerable.Range(0, 10).Select(_ => Trickle("POST /datasets HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n", ends: true, "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x.csv\"\r\n\r\n")).ToList();
        while (slow.Any(client => !client.IsCompleted))
        {
            Assert.True(await Poll() < TimeSpan.FromSeconds(2));
            Assert.True(clock.Elapsed < Late, "The slow clients are still there.");
            await Task.Delay(100, Api.Cancel);
        }

        Assert.All(await Task.WhenAll(slow), answer => Assert.Matches("^(HTTP/1.1 408 |$)", answer)); // Told, or simply cut off.
        Assert.Empty(Directory.GetFiles(Path.Combine(_own.Data, "datasets")));
    }

    [Fact]
    public async Task Headers_that_do_not_end_are_cut_off()
    {
        var answer = await Trickle("GET /health/live HTTP/1.1\r\n", ends: false, "X-Slow: ").WaitAsync(Late, Api.Cancel);

        Assert.Matches("^(HTTP/1.1 408 |$)", answer);
    }

    [Fact]
    public async Task An_idle_connection_is_closed()
    {
        var answer = await Send("GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").WaitAsync(Late, Api.Cancel); // Reads until it is closed.

        Assert.StartsWith("HTTP/1.1 200 ", answer, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET /health/live HTTP/1.1\r\nHost: x\r\nX-Long: {0}\r\n\r\n", 40_000, "431")]
    [InlineData("GET /health/live?{0} HTTP/1.1\r\nHost: x\r\n\r\n", 10_000, "414")]
    [InlineData("GET /health/live HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ft_{0}\r\n\r\n", 40_000, "431")]
    public async Task What_is_too_long_is_refused(string request, int length, string status)
    {
        var answer = await Send(request.Replace("{0}", new('x', length), StringComparison.Ordinal)).WaitAsync(Late, Api.Cancel);

        Assert.StartsWith($"HTTP/1.1 {status} ", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Too_many_headers_are_refused() =>
        Assert.StartsWith("HTTP/1.1 431 ", await Send($"GET /health/live HTTP/1.1\r\nHost: x\r\n{string.Concat(Enumerable.Range(0, 200).Select(i => $"X-{i}: y\r\n"))}\r\n").WaitAsync(Late, Api.Cancel), StringComparison.Ordinal);

    [Theory]
    [InlineData("/datasets", 10L << 30)]
    [InlineData("/datasets", long.MaxValue)]
    [InlineData("/jobs", 10L << 30)]
    public async Task A_body_beyond_the_quota_is_refused_before_it_comes(string path, long length)
    {
        var project = (string)(await api.Post("/projects", """{"name": "small", "limits": {"max_storage_bytes": 1000000}}""", HttpStatusCode.Created))["id"]!;

        var answer = await Send($"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {Api.Key}\r\n{Caller.ProjectHeader}: {project}\r\nContent-Type: {(path == "/jobs" ? "application/json" : "multipart/form-data; boundary=b")}\r\nContent-Length: {length}\r\n\r\n").WaitAsync(Late, Api.Cancel);

        Assert.StartsWith("HTTP/1.1 413 ", answer, StringComparison.Ordinal); // No byte of the body was sent.
        Assert.Contains("application/problem+json", answer, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Connections_beyond_the_limit_are_closed_and_others_go_on()
    {
        await Poll(); // On a connection that stays open.
        var idle = new List<TcpClient>();
        try
        {
            for (var i = 0; i < 2 * Connections; i++)
            {
                idle.Add(new TcpClient());
                await idle[^1].ConnectAsync(IPAddress.Loopback, _own.Address.Port, Api.Cancel);
            }
            Assert.True(await Poll() < TimeSpan.FromSeconds(2));
            Assert.Equal(0, await idle[^1].GetStream().ReadAsync(new byte[1], Api.Cancel).AsTask().WaitAsync(Late, Api.Cancel));
        }
        finally
        {
            idle.ForEach(client => client.Dispose());
        }
    }

    private async Task<TimeSpan> Poll()
    {
        var clock = Stopwatch.StartNew();
        await Api.Read(await _http.GetAsync("/jobs?limit=1", Api.Cancel), HttpStatusCode.OK);
        return clock.Elapsed;
    }

    /// <summary>Sends the head at once, and then a byte a second, until the other side closes.</summary>
    private Task<string> Trickle(string head, bool ends, string rest) => Exchange(async stream =>
    {
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"{head}Host: x\r\nAuthorization: Bearer {Api.Key}\r\n{(ends ? "\r\n" : "")}"), Api.Cancel);
        for (var at = 0; ; at++)
        {
            await stream.WriteAsync(new[] { at < rest.Length ? (byte)rest[at] : (byte)'a' }, Api.Cancel);
            await Task.Delay(1000, Api.Cancel);
        }
    });

    private Task<string> Send(string request) => Exchange(stream => stream.WriteAsync(Encoding.ASCII.GetBytes(request), Api.Cancel).AsTask());

    /// <returns>All that came before the connection was closed.</returns>
    private async Task<string> Exchange(Func<NetworkStream, Task> send)
    {
        using var client = new TcpClient();
        await client.ConnectAsync(IPAddress.Loopback, _own.Address.Port, Api.Cancel);
        var stream = client.GetStream();
        var sending = send(stream);
        var answer = new MemoryStream();
        try
        {
            await stream.CopyToAsync(answer, Api.Cancel);
        }
        catch (IOException)
        {
            // Cut off.
        }
        client.Close();
        await sending.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default); // Ends with the connection, in whatever way.
        return Encoding.ASCII.GetString(answer.ToArray());
    }

    /// <summary>A service with little patience.</summary>
    public sealed class Impatient(Api api) : IAsyncLifetime
    {
        internal OwnApi Service { get; private set; } = null!;

        public async ValueTask InitializeAsync() =>
            Service = await OwnApi.Start(api, ("Connections__GracePeriod", $"{Grace}"), ("Connections__HeadersTimeout", $"{Headers}"), ("Connections__KeepAlive", $"{KeepAlive}"), ("Connections__MaxConnections", $"{Connections}"));

        public ValueTask DisposeAsync() => Service.DisposeAsync();
    }
}
