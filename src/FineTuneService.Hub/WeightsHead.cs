using System.Buffers.Binary;
using System.Net;

namespace FineTuneService.Hub;

/// <summary>The header of a safetensors file on the hub, written as a sparse file of the full size: whoever checks headers can check it like any other.</summary>
internal static class WeightsHead
{
    private const int LengthBytes = 8;
    private const long UsualBytes = 256 << 10; // Enough for most shards in one request.
    private const ulong MostBytes = 100_000_000; // The format's own limit (huggingface/safetensors, tensor.rs).

    public static async Task Write(HubClient client, HubSettings settings, HubListing listing, HubFile file, string path, CancellationToken cancel)
    {
        var size = file.Size!.Value;
        var head = await Read(client, settings, listing, file, Math.Min(size, UsualBytes), cancel);
        if (head.Length >= LengthBytes && BinaryPrimitives.ReadUInt64LittleEndian(head) is var length && length <= MostBytes
            && LengthBytes + (long)length is var needed && needed > head.Length && needed <= size)
            head = await Read(client, settings, listing, file, needed, cancel);
        await using var sparse = new FileStream(path, FileMode.CreateNew, FileAccess.Write);
        await sparse.WriteAsync(head, cancel);
        sparse.SetLength(size);
    }

    private static Task<byte[]> Read(HubClient client, HubSettings settings, HubListing listing, HubFile file, long count, CancellationToken cancel) => Patience.Repeat(settings, async () =>
    {
        if (count == 0)
            return [];
        using var answer = await client.Open(listing, file, new(0, count - 1), null, cancel);
        if (answer.Response.StatusCode == HttpStatusCode.PartialContent && answer.Response.Content.Headers.ContentRange?.From != 0)
            throw HubRefusal.Damaged(file.Path, $"The hub answers with '{answer.Response.Content.Headers.ContentRange}' where the first {count} bytes were asked for.");
        using var stalled = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        stalled.CancelAfter(settings.StallTimeout);
        try
        {
            // A server that knows no ranges sends everything; the rest is not read.
            await using var body = await answer.Response.Content.ReadAsStreamAsync(stalled.Token);
            var bytes = new byte[count];
            await body.ReadExactlyAsync(bytes, stalled.Token);
            return bytes;
        }
        catch (Exception error) when (PassingFailureException.IsOfTheNetwork(error, cancel))
        {
            throw new PassingFailureException($"{answer.Response.RequestMessage!.RequestUri!.Host} breaks off in the header of {file.Path}.", cause: error);
        }
    }, cancel);
}
