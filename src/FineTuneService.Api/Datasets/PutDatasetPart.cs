using System.Security.Cryptography;
using System.Text.RegularExpressions;
using FineTuneService.Api.Problems;
using FineTuneService.Api.Uploads;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.HttpResults;

namespace FineTuneService.Api.Datasets;

public static partial class PutDatasetPart
{
    private const long MostBytes = 64 << 20;
    private const int MostParts = 10_000, BufferBytes = 128 * 1024;
    private const string Digest = "Content-Digest";

    /// <summary>Stores a part of at most 64 MiB of an upload: the bytes themselves, with <c>Content-Length</c>. A part that is sent again takes the place of the earlier one.</summary>
    /// <remarks>With <c>Content-Digest: sha-256=:BASE64:</c> (RFC 9530) it is compared, and a part that was damaged on its way is refused. A part whose connection breaks is not stored.</remarks>
    /// <param name="id">The upload's id.</param>
    /// <param name="number">Its place in the file, 1 to 10,000; numbers may be left out.</param>
    public static async Task<Ok<DatasetPartView>> Handle(string id, int number, HttpRequest request, FineTuneDb db, StorageSettings storage, TimeProvider clock, CancellationToken cancel)
    {
        var upload = await db.FindPendingUpload(id, Upload.ForDataset, clock, cancel);
        if (number is < 1 or > MostParts)
            throw new FaultException("number", $"{number}", "There is no such part.", $"Number the parts from 1 to {MostParts}.");
        var folder = new UploadFolder(storage, id);
        var length = LengthOf(request, upload.Bytes - folder.Numbered().Where(part => part.Number != number).Sum(part => part.Bytes));
        var digest = DigestOf(request);
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            size.MaxRequestBodySize = length;

        var sha256 = "";
        await folder.Put(number, async file => sha256 = await Copy(request.Body, file, length, digest, cancel));
        return TypedResults.Ok(new DatasetPartView(number, length, sha256));
    }

    private static long LengthOf(HttpRequest request, long left) => request.ContentLength switch
    {
        null => throw new ProblemException(StatusCodes.Status411LengthRequired, "Send the part with a Content-Length, by which a broken connection is known."),
        > MostBytes => throw new ProblemException(StatusCodes.Status413PayloadTooLarge, $"A part has at most {MostBytes} bytes. Send the file in more of them."),
        0 => throw new FaultException("Content-Length", "0", "The part is empty.", "Send some bytes, or leave the part out."),
        { } length when length > left => throw new FaultException("Content-Length", $"{length}", $"With the other parts that are there the file may have {left} bytes more.", "Give every part its own number and the upload the file's size; GET tells which parts are there."),
        { } length => length,
    };

    /// <summary>What the client says the part's SHA-256 is; null when it says nothing.</summary>
    private static byte[]? DigestOf(HttpRequest request)
    {
        if (request.Headers[Digest] is not [{ Length: > 0 } given])
            return null;
        var sum = new byte[SHA256.HashSizeInBytes];
        return Sha256Digest().Match(given) is { Success: true } match && Convert.TryFromBase64String(match.Groups["sum"].Value, sum, out var bytes) && bytes == sum.Length
            ? sum
            : throw new FaultException(Digest, given, "This is no checksum that is known here.", "Give sha-256=:BASE64:, or leave the header out.");
    }

    private static async Task<string> Copy(Stream body, Stream file, long length, byte[]? digest, CancellationToken cancel)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var (buffer, written) = (new byte[BufferBytes], 0L);
        for (int read; (read = await body.ReadAsync(buffer, cancel)) > 0; written += read)
        {
            hash.AppendData(buffer, 0, read);
            await file.WriteAsync(buffer.AsMemory(0, read), cancel);
        }
        var sum = hash.GetHashAndReset();
        if (written != length)
            throw new ProblemException(StatusCodes.Status400BadRequest, $"{written} bytes came, and the Content-Length is {length}. Send the part again.");
        if (digest is not null && !digest.AsSpan().SequenceEqual(sum))
            throw new FaultException(Digest, Convert.ToHexStringLower(digest), $"The part that came has another checksum, {Convert.ToHexStringLower(sum)}.", "Send the part again.");
        return Convert.ToHexStringLower(sum);
    }

    [GeneratedRegex(@"(^|,)\s*sha-256=:(?<sum>[A-Za-z0-9+/=]{44}):")]
    private static partial Regex Sha256Digest();
}
