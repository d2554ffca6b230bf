using System.ComponentModel.DataAnnotations;
using FineTuneService.Api.Problems;
using FineTuneService.Training;

namespace FineTuneService.Api.Access;

/// <summary>The body of <c>POST /session</c>.</summary>
public sealed record SessionDraft
{
    /// <summary>As in <c>Authorization: Bearer</c>.</summary>
    [Length(1, 256)]
    public required string Key { get; init; }
}

/// <summary>
/// Signs a browser in. Its key goes into a cookie that no script can read and no other site's page sends along,
/// so that streams and downloads, to which a page cannot add headers, are asked for as whoever has signed in.
/// </summary>
public static class Sessions
{
    public const string Cookie = "finetune_key";

    public static void MapSessions(this IEndpointRouteBuilder routes)
    {
        var session = routes.MapGroup("/session").ExcludeFromDescription().AllowAnonymous();
        session.MapPost("/", SignIn);
        session.MapDelete("/", (HttpContext context) => context.Response.Cookies.Delete(Cookie));
    }

    private static async Task<IResult> SignIn(HttpContext context, ApiKeys keys, CancellationToken cancel)
    {
        var draft = await JsonContract.ReadAsync<SessionDraft>(context.Request.Body, Catalog.Json, cancel);
        if (await keys.Find(draft.Key, cancel) is not { } row)
            throw new ProblemException(StatusCodes.Status401Unauthorized, KeyAuthentication.Unknown);
        context.Response.Cookies.Append(Cookie, draft.Key, new() { HttpOnly = true, SameSite = SameSiteMode.Strict, Secure = context.Request.IsHttps, Expires = row.ExpiresAt });
        return TypedResults.NoContent();
    }

    /// <summary>The key of whoever has signed in; null where another site's page makes the request, if the browser says so.</summary>
    internal static string? KeyIn(HttpRequest request) =>
        request.Headers["Sec-Fetch-Site"] is [] or ["same-origin"] or ["none"] ? request.Cookies[Cookie] : null;
}
