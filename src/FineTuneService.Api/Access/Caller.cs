using System.Security.Claims;
using FineTuneService.Api.OpenAi;
using FineTuneService.Api.Problems;

namespace FineTuneService.Api.Access;

/// <summary>Who asks, and for which project.</summary>
public static class Caller
{
    internal const string Project = "project", ScopeClaim = "scope", Name = "name";

    /// <summary>With it an admin names the project in which to act, by its id.</summary>
    public const string ProjectHeader = "FineTune-Project";

    /// <summary>What OpenAI's clients call it.</summary>
    public const string OpenAiProjectHeader = "OpenAI-Project";

    public static string OwnProject(ClaimsPrincipal user) => user.FindFirst(Project)?.Value ?? "";

    /// <summary>The project that the request names, which it may not be allowed to.</summary>
    public static string? NamedProject(HttpContext context) => (context.Request.Headers[ProjectHeader] is [{ Length: > 0 } named] ? named : null)
        ?? (OpenAiError.IsFor(context) && context.Request.Headers[OpenAiProjectHeader] is [{ Length: > 0 } alike] ? alike : null);

    public static IEnumerable<string> Scopes(this ClaimsPrincipal user) => user.FindAll(ScopeClaim).Select(claim => claim.Value);

    /// <summary>A key's id, or a token's subject.</summary>
    public static string CallerName(this ClaimsPrincipal user) => user.FindFirst(Name)!.Value;

    public static ClaimsPrincipal Of(string scheme, string name, string projectId, IEnumerable<string> scopes) =>
        new(new ClaimsIdentity([new(Name, name), new(Project, projectId), .. scopes.Select(scope => new Claim(ScopeClaim, scope))], scheme, Name, null));

    /// <summary>The project whose rows this request sees; of a request that nobody was identified for, none.</summary>
    /// <exception cref="ProblemException">403, when it names another project and may not.</exception>
    public static string ProjectOf(HttpContext context)
    {
        var (own, named) = (OwnProject(context.User), NamedProject(context));
        return named is null || named == own || Scope.Allows(context.User.Scopes(), Scope.Admin)
            ? named ?? own
            : throw new ProblemException(StatusCodes.Status403Forbidden, $"Only a key with the scope {Scope.Admin} may act in another project than its own. Leave the header {ProjectHeader} or {OpenAiProjectHeader} out.");
    }
}
