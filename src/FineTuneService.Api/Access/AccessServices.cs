using System.Globalization;
using System.Threading.RateLimiting;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Authentication;
using Microsoft.AspNetCore.Authentication.JwtBearer;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.RateLimiting;
using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.Extensions.Options;

namespace FineTuneService.Api.Access;

/// <summary>Who may come in, how often, and what they see: a request's <see cref="FineTuneDb"/> shows its project's rows alone.</summary>
public static class AccessServices
{
    private const string Either = "key or token", Token = "token";

    public static IServiceCollection AddAccess(this IServiceCollection services, IConfiguration configuration)
    {
        services.AddOptions<AccessSettings>().BindConfiguration("Access").ValidateDataAnnotations().ValidateOnStart();
        services.AddHttpContextAccessor();
        services.AddSingleton<ApiKeys>();
        services.AddSingleton<IAuthorizationHandler, ScopeHandler>();
        services.AddSingleton(provider => new PooledDbContextFactory<FineTuneDb>(provider.GetRequiredService<DbContextOptions<FineTuneDb>>()));
        services.AddScoped(ForProject);
        var authentication = services.AddAuthentication(Either)
            .AddPolicyScheme(Either, null, scheme => scheme.ForwardDefaultSelector = context => KeyAuthentication.KeyIn(context.Request) is null && HasOidc(context.RequestServices) ? Token : KeyAuthentication.Name)
            .AddScheme<AuthenticationSchemeOptions, KeyAuthentication>(KeyAuthentication.Name, null);
        if (configuration.GetSection("Access:Oidc").Get<OidcSettings>() is { } oidc)
            authentication.AddJwtBearer(Token, token => Accept(token, oidc));
        services.AddAuthorizationBuilder().SetFallbackPolicy(new AuthorizationPolicyBuilder().RequireAssertion(IsNoRoute).Build());
        services.AddRateLimiter(_ => { });
        services.AddOptions<RateLimiterOptions>().Configure<IOptions<AccessSettings>>(Limit);
        return services;
    }

    /// <summary>For admins; for all where the network itself keeps strangers away.</summary>
    public static void ForScrapers(this IEndpointConventionBuilder route, IServiceProvider services)
    {
        if (services.GetRequiredService<IOptions<AccessSettings>>().Value.AnonymousMetrics)
            route.AllowAnonymous();
        else
            route.RequireScope(Scope.Admin);
    }

    /// <summary>A route that asks for no scope was forgotten: it lets nobody in. Where there is no route, routing's own 404 or 405 answers.</summary>
    private static bool IsNoRoute(AuthorizationHandlerContext context) => context.Resource is HttpContext http && http.GetEndpoint() is not RouteEndpoint;

    private static bool HasOidc(IServiceProvider services) => services.GetRequiredService<IOptions<AccessSettings>>().Value.Oidc is not null;

    private static FineTuneDb ForProject(IServiceProvider services)
    {
        var context = services.GetRequiredService<IHttpContextAccessor>().HttpContext ?? throw new InvalidOperationException("Outside a request, take a context from the factory.");
        var db = services.GetRequiredService<PooledDbContextFactory<FineTuneDb>>().CreateDbContext();
        db.Project = Caller.ProjectOf(context); // Whoever had it before.
        return db;
    }

    private static void Accept(JwtBearerOptions token, OidcSettings oidc)
    {
        (token.Authority, token.Audience, token.RequireHttpsMetadata, token.MapInboundClaims) = (oidc.Authority, oidc.Audience, oidc.RequireHttps, false);
        token.TokenValidationParameters.ClockSkew = TimeSpan.FromSeconds(30);
        token.Events = new()
        {
            OnTokenValidated = context =>
            {
                var given = context.Principal!;
                if (given.FindFirst(oidc.ProjectClaim)?.Value is not { Length: > 0 } project || given.FindFirst("sub")?.Value is not { Length: > 0 } subject)
                    context.Fail($"The token names no project (claim {oidc.ProjectClaim}), or nobody (claim sub).");
                else
                    context.Principal = Caller.Of(Token, subject, project, given.FindAll(oidc.ScopeClaim).SelectMany(claim => claim.Value.Split(' ')).Intersect(Scope.All));
                return Task.CompletedTask;
            },
        };
    }

    private static void Limit(RateLimiterOptions limiter, IOptions<AccessSettings> settings)
    {
        var perMinute = settings.Value.RequestsPerMinute;
        var atOnce = Math.Max(1, perMinute / 60); // Each time so many more, as often as makes that number a minute.
        limiter.RejectionStatusCode = StatusCodes.Status429TooManyRequests;
        limiter.GlobalLimiter = PartitionedRateLimiter.Create<HttpContext, string>(context => context.Request.Path.StartsWithSegments("/health")
            ? RateLimitPartition.GetNoLimiter("health")
            : RateLimitPartition.GetTokenBucketLimiter(
                context.User.Identity?.IsAuthenticated == true ? context.User.CallerName() : $"{context.Connection.RemoteIpAddress}",
                _ => new() { TokenLimit = Math.Max(1, perMinute / 10), TokensPerPeriod = atOnce, ReplenishmentPeriod = TimeSpan.FromMinutes((double)atOnce / perMinute), QueueLimit = 0 }));
        limiter.OnRejected = (rejected, _) =>
        {
            var wait = rejected.Lease.TryGetMetadata(MetadataName.RetryAfter, out var after) ? after : TimeSpan.FromSeconds(1);
            rejected.HttpContext.Response.Headers.RetryAfter = Math.Max(1, Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
            return ValueTask.CompletedTask;
        };
    }
}
