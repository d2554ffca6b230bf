using System.Net.Http.Headers;
using System.Text;
using System.Text.Encodings.Web;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Access;

/// <summary><c>Authorization: Bearer ft_…</c>; or Basic with the key as the password, which is how a browser asks for pages; or the cookie of <see cref="Sessions"/>.</summary>
internal sealed class KeyAuthentication(IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory logs, UrlEncoder encoder, ApiKeys keys) : AuthenticationHandler<AuthenticationSchemeOptions>(options, logs, encoder)
{
    public const string Name = "key", Unknown = "The key is unknown, revoked or expired.";

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        if (KeyIn(Request) is not { } key)
            return AuthenticateResult.NoResult();
        return await keys.Find(key, Context.RequestAborted) is { } row
            ? AuthenticateResult.Success(new(Caller.Of(Name, row.Id, row.ProjectId, row.Scopes), Name))
            : AuthenticateResult.Fail(Unknown);
    }

    protected override Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        Response.StatusCode = StatusCodes.Status401Unauthorized;
        Response.Headers.WWWAuthenticate = Request.Path.StartsWithSegments("/hangfire") ? "Basic realm=\"FineTuneService\", charset=\"UTF-8\"" : "Bearer";
        return Task.CompletedTask;
    }

    /// <summary>Null where there is none of ours.</summary>
    public static string? KeyIn(HttpRequest request)
    {
        var key = request.Headers.Authorization.Count == 0 ? Sessions.KeyIn(request)
            : !AuthenticationHeaderValue.TryParse(request.Headers.Authorization, out var given) || given.Parameter is not { } parameter ? null
            : given.Scheme.ToLowerInvariant() switch
            {
                "bearer" => parameter,
                "basic" => Password(parameter),
                _ => null,
            };
        return key?.StartsWith(ApiKeys.Mark, StringComparison.Ordinal) == true ? key : null;
    }

    private static string? Password(string parameter)
    {
        var bytes = new byte[parameter.Length];
        return Convert.TryFromBase64String(parameter, bytes, out var length) && Encoding.UTF8.GetString(bytes, 0, length) is var pair && pair.IndexOf(':') is >= 0 and var colon ? pair[(colon + 1)..] : null;
    }
}
