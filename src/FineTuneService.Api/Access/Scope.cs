using Microsoft.AspNetCore.Authorization;

namespace FineTuneService.Api.Access;

/// <summary>What a key may do. To write includes to read; <see cref="Admin"/> includes everything.</summary>
public static class Scope
{
    /// <summary>Projects, keys, the audit log, base models for all, and any project's data.</summary>
    public const string Admin = "admin";

    public const string ModelsRead = "models:read";

    /// <summary>Every caller has it.</summary>
    public const string Anyone = "anyone";

    private const string Read = ":read", Write = ":write";

    public static IReadOnlyList<string> All { get; } = ["datasets:read", "datasets:write", "jobs:read", "jobs:write", ModelsRead, Admin];

    public static bool Allows(IEnumerable<string> given, string needed) =>
        needed == Anyone || given.Any(scope => scope == Admin || scope == needed || (needed.EndsWith(Read, StringComparison.Ordinal) && scope == needed[..^Read.Length] + Write));

    /// <summary>GET needs <c>area:read</c>, everything else <c>area:write</c>; a route's own <see cref="RequireScope"/> goes before.</summary>
    public static RouteGroupBuilder RequireScopes(this RouteGroupBuilder group, string area)
    {
        ((IEndpointConventionBuilder)group).Finally(endpoint =>
        {
            if (endpoint.Metadata.OfType<RequiredScope>().Any())
                return;
            var reads = endpoint.Metadata.OfType<HttpMethodMetadata>().Single().HttpMethods.All(HttpMethods.IsGet);
            endpoint.Metadata.Add(new RequiredScope(area + (reads ? Read : Write)));
        });
        return group;
    }

    public static TBuilder RequireScope<TBuilder>(this TBuilder route, string scope) where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new RequiredScope(scope));
}

/// <summary>The scope that a route asks of its caller. A route without one, which does not say <c>AllowAnonymous</c> either, lets nobody in.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RequiredScope(string scope) : AuthorizeAttribute, IAuthorizationRequirement, IAuthorizationRequirementData
{
    public string Scope => scope;

    public IEnumerable<IAuthorizationRequirement> GetRequirements() => [this];
}

/// <summary>Judges <see cref="RequiredScope"/>.</summary>
internal sealed class ScopeHandler : AuthorizationHandler<RequiredScope>
{
    protected override Task HandleRequirementAsync(AuthorizationHandlerContext context, RequiredScope requirement)
    {
        if (Scope.Allows(context.User.Scopes(), requirement.Scope))
            context.Succeed(requirement);
        return Task.CompletedTask;
    }
}
