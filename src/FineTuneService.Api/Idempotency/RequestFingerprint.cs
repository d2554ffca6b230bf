using System.Security.Cryptography;
using FineTuneService.Api.Problems;
using Microsoft.Net.Http.Headers;

namespace FineTuneService.Api.Idempotency;

/// <summary>By what two requests are known to be the same. Of a form it is its parts, since every client draws another boundary between them.</summary>
internal static class RequestFingerprint
{
    private static readonly object Form = new();

    public static bool IsForm(HttpRequest request) => MediaTypeHeaderValue.TryParse(request.ContentType, out var type) && type.MediaType == "multipart/form-data";

    /// <summary>Keeps the body for whoever reads it next.</summary>
    public static async Task<string> Buffer(HttpRequest request, int most, CancellationToken cancel)
    {
        var body = new MemoryStream();
        var chunk = new byte[16 * 1024];
        for (int read; (read = await request.Body.ReadAsync(chunk, cancel)) > 0;)
        {
            body.Write(chunk, 0, read);
            if (body.Length > most)
                throw new ProblemException(StatusCodes.Status413PayloadTooLarge, $"The body is longer than {most} bytes.");
        }
        body.Position = 0;
        request.Body = body;
        return Convert.ToHexStringLower(SHA256.HashData(body.GetBuffer().AsSpan(0, (int)body.Length)));
    }

    /// <summary>Left by whoever has read the form.</summary>
    public static void Leave(HttpContext context, string fingerprint) => context.Items[Form] = fingerprint;

    public static string OfForm(HttpContext context) => (string?)context.Items[Form] ?? throw new InvalidOperationException("A route reads a form and leaves no fingerprint of it.");
}
