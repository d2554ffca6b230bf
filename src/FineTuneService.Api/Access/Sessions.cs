using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Access;

/// <param name="Key">As in <c>Authorization: Bearer</c>.</param>
public sealed record SessionDraft(string Key);

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

    private static async Task<IResult> SignIn(SessionDraft draft, HttpContext context, ApiKeys keys, CancellationToken cancel)
    {
        if (await keys.Find(draft.Key, cancel) is not { } row)
            throw new ProblemException(StatusCodes.Status401Unauthorized, KeyAuthentication.Unknown);
        context.Response.Cookies.Append(Cookie, draft.Key, new() { HttpOnly = true, SameSite = SameSiteMode.Strict, Secure = context.Request.IsHttps, Expires = row.ExpiresAt });
        return TypedResults.NoContent();
    }

    /// <summary>The key of whoever has signed in; null where another site's page makes the request, if the browser says so.</summary>
    internal static string? KeyIn(HttpRequest request) =>
        request.Headers["Sec-Fetch-Site"] is [] or ["same-origin"] or ["none"] ? request.Cookies[Cookie] : null;
}
