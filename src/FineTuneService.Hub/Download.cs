using System.Buffers;
using System.Net;
using System.Net.Http.Headers;
using FineTuneService.Contracts;

namespace FineTuneService.Hub;

/// <summary>How far a download is; written by the one who downloads, read by anybody.</summary>
public sealed class DownloadProgress
{
    private long _done;
    private long _total;
    private long _received;

    /// <summary>Bytes that are here, those of the cache included.</summary>
    public long Done => Interlocked.Read(ref _done);

    /// <summary>Bytes of all files that are needed; 0 until they are known.</summary>
    public long Total => Interlocked.Read(ref _total);

    /// <summary>Bytes that came over the network; 0 when the cache had everything.</summary>
    public long Received => Interlocked.Read(ref _received);

    internal void Begin(long total) => Interlocked.Exchange(ref _total, total);

    internal void Add(long bytes) => Interlocked.Add(ref _done, bytes);

    internal void Receive(long bytes)
    {
        Interlocked.Add(ref _received, bytes);
        Add(bytes);
    }
}

/// <summary>One file of a repository into the cache: resumed where an earlier try ended, checked by size and hash, published whole or not at all.</summary>
internal sealed class Download(HubClient client, HubCache cache, HubSettings settings)
{
    private const int BufferBytes = 128 << 10;

    /// <exception cref="FaultException">When what comes is not what the hub listed.</exception>
    /// <exception cref="HubUnreachableException">When patience has run out; what came so far stays for the next try.</exception>
    public async Task Fetch(HubListing listing, HubFile file, DownloadProgress progress, CancellationToken cancel)
    {
        var id = listing.Model.Id;
        if (cache.Has(id, file))
        {
            progress.Add(file.Size!.Value);
            return;
        }
        await using var alone = await cache.Lock(id, file.Etag!, cancel);
        if (cache.Has(id, file)) // Another was faster.
        {
            progress.Add(file.Size!.Value);
            return;
        }
        // A beginning that lay on the disk may be spoilt, by a power cut perhaps: then once more without it.
        if (!await TryFetch(listing, file, progress, cancel))
            await TryFetch(listing, file, progress, cancel);
    }

    /// <returns>False when a resumed beginning did not fit; it is gone then.</returns>
    private async Task<bool> TryFetch(HubListing listing, HubFile file, DownloadProgress progress, CancellationToken cancel)
    {
        var blob = cache.Blob(listing.Model.Id, file.Etag!);
        await using var part = await PartialBlob.Open(blob, file, cancel);
        var wasResumed = part.IsResumed;
        progress.Add(part.Length);
        try
        {
            await Fill(part, listing, file, progress, cancel);
            if (part.Etag() is var etag && etag != file.Etag)
                throw HubRefusal.Damaged(file.Path, $"What the hub sent has the hash {etag}, not {file.Etag}.");
            part.Publish(blob);
            return true;
        }
        catch (FaultException error) when (HubRefusal.IsDamage(error))
        {
            part.Delete();
            progress.Add(-part.Length);
            if (wasResumed)
                return false;
            throw;
        }
    }

    private async Task Fill(PartialBlob part, HubListing listing, HubFile file, DownloadProgress progress, CancellationToken cancel)
    {
        var patience = new Patience(settings);
        var farthest = part.Length;
        EntityTagHeaderValue? same = null;
        while (part.Length < file.Size)
        {
            try
            {
                using var answer = await client.Open(listing, file, part.Length == 0 ? null : new(part.Length, null), same, cancel);
                if (answer.Response.StatusCode == HttpStatusCode.OK && part.Length > 0)
                {
                    progress.Add(-part.Length);
                    part.Restart();
                }
                CheckLength(answer.Response, file, part.Length);
                same = answer.Response.Headers.ETag is { IsWeak: false } strong ? strong : null;
                await Receive(answer.Response, part, file, progress, cancel);
            }
            catch (PassingFailureException failure)
            {
                if (part.Length > farthest)
                    patience.Renew();
                farthest = Math.Max(farthest, part.Length);
                await patience.Wait(failure, cancel);
            }
        }
    }

    private static void CheckLength(HttpResponseMessage response, HubFile file, long have)
    {
        var range = response.Content.Headers.ContentRange;
        if (response.StatusCode == HttpStatusCode.PartialContent && (range?.From != have || (range.Length ?? file.Size) != file.Size))
            throw HubRefusal.Damaged(file.Path, $"The hub answers with '{range}' where bytes from {have} of {file.Size} were asked for.");
        if (response.Content.Headers.ContentLength is { } length && length != file.Size - have)
            throw HubRefusal.Damaged(file.Path, $"The hub sends {length} bytes where {file.Size - have} are due.");
    }

    private async Task Receive(HttpResponseMessage response, PartialBlob part, HubFile file, DownloadProgress progress, CancellationToken cancel)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            await using var body = await response.Content.ReadAsStreamAsync(cancel);
            for (int read; (read = await Read(body, buffer, file, cancel)) > 0; progress.Receive(read))
            {
                if (part.Length + read > file.Size)
                    throw HubRefusal.Damaged(file.Path, $"The hub sends more than the {file.Size} bytes that it lists.");
                await part.Append(buffer.AsMemory(0, read), cancel);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
        if (part.Length < file.Size)
            throw new PassingFailureException($"The hub ends {file.Path} after {part.Length} of {file.Size} bytes.");
    }

    private async Task<int> Read(Stream body, byte[] buffer, HubFile file, CancellationToken cancel)
    {
        using var stalled = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        stalled.CancelAfter(settings.StallTimeout);
        try
        {
            return await body.ReadAsync(buffer, stalled.Token);
        }
        catch (Exception error) when (PassingFailureException.IsOfTheNetwork(error, cancel))
        {
            throw new PassingFailureException($"The hub breaks off in the middle of {file.Path}.", cause: error);
        }
    }
}
